"""Writes the whole model in the diffusers layout, in half precision, from whatever checkpoints there are.

    python export.py [folder]
"""
import json
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from latents import ENCODER, PATH as LATENTS, TOKENIZER
from models import SIDE, TOKENS, new_clip, new_text_encoder, new_unet, new_vae
from paths import EXPORT, WORK

PROMPTS = Path(__file__).resolve().parent.parent / "prompts"
VERSION = "0.35.0"   # the oldest diffusers release we name as able to read this
SCHEDULER = dict(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, num_train_timesteps=1000,
                 clip_sample=False, set_alpha_to_one=False, steps_offset=1, prediction_type="v_prediction")


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


def write_weights(path, state):
    # Contiguous in the ordinary order: channels_last is a matter of memory, not of the file.
    tensors = {k: v.to(torch.float16).contiguous(memory_format=torch.contiguous_format).clone()
               for k, v in state.items() if v.is_floating_point()}
    save_file(tensors, path, metadata={"format": "pt"})


def model_config(model, **more):
    config = {k: v for k, v in json.loads(model.to_json_string()).items() if k != "_name_or_path"}
    return {**config, **more}


def prefixed(state):
    """The names of genuine files begin with text_model., whatever the library calls them inside."""
    return {k if k.startswith("text_model.") else "text_model." + k: v for k, v in state.items()}


def text_json(config, vocabulary):
    c = config.to_dict()
    keys = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
            "max_position_embeddings", "hidden_act", "layer_norm_eps", "projection_dim", "attention_dropout",
            "initializer_factor", "initializer_range")
    return {**{k: c[k] for k in keys}, "bos_token_id": vocabulary - 2, "eos_token_id": vocabulary - 1,
            "pad_token_id": vocabulary - 1, "torch_dtype": "float32"}


def export(folder=EXPORT):
    folder = Path(folder)
    made = folder.with_name(folder.name + ".part")
    shutil.rmtree(made, ignore_errors=True)
    for part in ("unet", "vae", "text_encoder", "clip"):
        (made / part).mkdir(parents=True)
    vocabulary = len(json.loads((TOKENIZER / "vocab.json").read_text()))

    write_json(made / "model_index.json", {
        "_class_name": "StableDiffusionPipeline", "_diffusers_version": VERSION, "feature_extractor": [None, None],
        "image_encoder": [None, None], "requires_safety_checker": False, "safety_checker": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"], "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"], "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"]})
    write_json(made / "scheduler" / "scheduler_config.json",
               {"_class_name": "DDIMScheduler", "_diffusers_version": VERSION, "trained_betas": None, **SCHEDULER})
    for where in ("tokenizer", "clip"):
        shutil.copytree(TOKENIZER, made / where, dirs_exist_ok=True)

    vae = new_vae()
    trained = WORK / "vae.pt"
    vae.load_state_dict(torch.load(trained if trained.exists() else ENCODER)["vae"])
    scale = torch.load(LATENTS, mmap=True)["scale"]
    write_json(made / "vae" / "config.json", model_config(vae, _diffusers_version=VERSION, scaling_factor=scale))
    write_weights(made / "vae" / "diffusion_pytorch_model.safetensors", vae.state_dict())

    average = torch.load(WORK / "unet.pt")["average"]
    parts = {name: {k[len(name) + 1:]: v for k, v in average.items() if k.startswith(name + ".")}
             for name in ("unet", "text")}
    write_json(made / "unet" / "config.json", model_config(new_unet(), _diffusers_version=VERSION))
    write_weights(made / "unet" / "diffusion_pytorch_model.safetensors", parts["unet"])
    write_json(made / "text_encoder" / "config.json", {
        "architectures": ["CLIPTextModel"], "model_type": "clip_text_model",
        **text_json(new_text_encoder(vocabulary).config, vocabulary)})
    write_weights(made / "text_encoder" / "model.safetensors", prefixed(parts["text"]))

    clip = new_clip(vocabulary)
    if (WORK / "eval-clip.pt").exists():
        clip.load_state_dict(torch.load(WORK / "eval-clip.pt")["clip"])
    vision = clip.config.vision_config.to_dict()
    keys = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "image_size", "patch_size",
            "num_channels", "hidden_act", "layer_norm_eps", "projection_dim", "attention_dropout", "initializer_factor",
            "initializer_range")
    write_json(made / "clip" / "config.json", {
        "architectures": ["CLIPModel"], "model_type": "clip", "projection_dim": clip.config.projection_dim,
        "logit_scale_init_value": clip.config.logit_scale_init_value, "torch_dtype": "float32",
        "text_config": {"model_type": "clip_text_model", **text_json(clip.config.text_config, vocabulary)},
        "vision_config": {"model_type": "clip_vision_model", **{k: vision[k] for k in keys}}})
    write_weights(made / "clip" / "model.safetensors", clip.state_dict())
    write_json(made / "clip" / "preprocessor_config.json", {
        "image_processor_type": "CLIPImageProcessor", "feature_extractor_type": "CLIPFeatureExtractor",
        "do_resize": True, "size": {"shortest_edge": SIDE}, "resample": 3, "do_center_crop": True,
        "crop_size": {"height": SIDE, "width": SIDE}, "do_rescale": True, "rescale_factor": 1 / 255,
        "do_normalize": True, "do_convert_rgb": True, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]})

    # What Engram itself reads beside the model: prompts in the words of this world.
    for name in ("calibration.txt", "evaluate.txt"):
        shutil.copy(PROMPTS / name, made / name)

    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    made.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


if __name__ == "__main__":
    export(*sys.argv[1:2])
