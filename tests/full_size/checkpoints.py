"""Random checkpoints of the exact published shapes, written by diffusers and transformers: python checkpoints.py NAME..."""
import json
import shutil
import sys

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTextConfig, CLIPTextModel, CLIPVisionConfig

import golden  # noqa: F401
import bpe
import models
import original
import vocabulary
from places import MODELS_HOME
from shapes import CLIPS, MODELS, SHIPPED_IDS, VARIANTS



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


def components(folder):
    return (UNet2DConditionModel.from_pretrained(folder / "unet"), AutoencoderKL.from_pretrained(folder / "vae"),
            CLIPTextModel.from_pretrained(folder / "text_encoder"))


def write_fp16(source, folder):
    for model, name in zip(components(source), ("unet", "vae", "text_encoder")):
        model.half().save_pretrained(folder / name, variant="fp16")
    for name in ("tokenizer", "scheduler"):
        shutil.copytree(source / name, folder / name)
    shutil.copy(source / "model_index.json", folder)


def write_single(source, folder, dtype):
    """One file in original names, with what genuine files hold besides; diffusers' own converter must read it back."""
    unet, vae, text = components(source)
    parts = [{n: t.to(getattr(torch, dtype)) for n, t in m.state_dict().items()} for m in (unet, vae, text)]
    is_open = text.config.hidden_act == "gelu"
    g = torch.Generator().manual_seed(9)
    entries = original.extras(original.single(*parts, 2, 4, is_open), parts[2], is_open,
                              lambda shape: torch.randn(shape, generator=g).to(getattr(torch, dtype)))
    original.check_with_diffusers(entries, *parts, unet.config, vae.config, text, is_open)
    save_file({n: t.contiguous() for n, t, _ in entries}, folder / "model.safetensors")
    shutil.copytree(source / "tokenizer", folder / "model.tokenizer")
    shutil.copytree(source / "scheduler", folder / "scheduler")


def write_small(source, folder):
    for path in source.iterdir():
        if path.name not in ("unet", "whole"):
            (folder / path.name).symlink_to(path)
    (folder / "unet").mkdir()
    config = json.loads((source / "unet" / "config.json").read_text())
    bpe.write_json(folder / "unet" / "config.json", config | {"sample_size": 8})
    weights = "diffusion_pytorch_model.safetensors"
    (folder / "unet" / weights).symlink_to(source / "unet" / weights)


def write_variant(name, folder):
    variant = VARIANTS[name]
    source = ensure(variant["of"])
    if variant["form"] == "fp16":
        write_fp16(source, folder)
    elif variant["form"] == "small":
        write_small(source, folder)
    else:
        write_single(source, folder, variant["dtype"])


def ensure(name):
    """The folder of model `name`, written if it is not there whole."""
    folder = MODELS_HOME / name
    if (folder / "whole").exists():
        return folder
    print(f"writing {name}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (write_clip if name in CLIPS else write_variant if name in VARIANTS else write_model)(name, folder)
    (folder / "whole").write_text(json.dumps({"torch": torch.__version__}) + "\n")
    return folder


if __name__ == "__main__":
    torch.set_num_threads(2)
    for name in sys.argv[1:] or [*MODELS, *CLIPS, *VARIANTS]:
        ensure(name)
