"""Random checkpoints of the exact published shapes, written by diffusers and transformers: python checkpoints.py NAME..."""
import json
import shutil
import sys

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTextConfig, CLIPTextModel, CLIPVisionConfig

from golden import ROOT
import bpe
import models
import vocabulary
from shapes import CLIPS, MODELS, SHIPPED_IDS

HOME = ROOT / "build" / "parity" / "models"


def generator(case, component):
    return torch.Generator().manual_seed(1000 * case["seed"] + "unet vae text clip".split().index(component))


def write_component(model, case, component, folder):
    models.randomise(model, generator(case, component), case.get("quiet", 1.0))
    model.save_pretrained(folder)


def write_model(name, folder):
    case = MODELS[name]
    write_component(UNet2DConditionModel(**case["unet"]), case, "unet", folder / "unet")
    write_component(AutoencoderKL(**case["vae"]), case, "vae", folder / "vae")
    config = CLIPTextConfig(**(SHIPPED_IDS | case["text"]))
    write_component(CLIPTextModel(config), case, "text", folder / "text_encoder")
    vocabulary.save(folder / "tokenizer", case["pad"])
    (folder / "scheduler").mkdir()
    bpe.write_json(folder / "scheduler" / "scheduler_config.json", case["scheduler"])
    bpe.write_json(folder / "model_index.json", {
        "_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.6.0",
        "scheduler": ["diffusers", case["scheduler"]["_class_name"]], "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"], "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"], "safety_checker": [None, None], "feature_extractor": [None, None]})
    models.make_awkward(case, folder)


def write_clip(name, folder):
    case = CLIPS[name]
    projection = dict(projection_dim=case["projection"])
    clip = CLIPModel(CLIPConfig(text_config=CLIPTextConfig(**(SHIPPED_IDS | case["text"] | projection)).to_dict(),
                                vision_config=CLIPVisionConfig(**(case["vision"] | projection)).to_dict(), **projection))
    write_component(clip, case, "clip", folder / "clip")
    size = case["vision"]["image_size"]
    CLIPImageProcessor(size={"shortest_edge": size}, crop_size={"height": size, "width": size}).save_pretrained(
        folder / "clip")
    vocabulary.save(folder / "clip", bpe.END)


def ensure(name):
    """The folder of model `name`, written if it is not there whole."""
    folder = HOME / name
    if (folder / "whole").exists():
        return folder
    print(f"writing {name}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (write_clip if name in CLIPS else write_model)(name, folder)
    (folder / "whole").write_text(json.dumps({"torch": torch.__version__}) + "\n")
    return folder


if __name__ == "__main__":
    torch.set_num_threads(2)
    for name in sys.argv[1:] or [*MODELS, *CLIPS]:
        ensure(name)
