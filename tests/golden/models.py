"""Random models in genuine folders: build, save, make awkward, load."""
import inspect
import json
import shutil
import warnings

import diffusers
import torch
import transformers
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import (CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTextConfig, CLIPTextModel, CLIPTokenizer,
                          CLIPVisionConfig)

import bpe
import cases

for library in (diffusers, transformers):  # their remarks on our old-fashioned scheduler files
    library.utils.logging.set_verbosity_error()
    library.utils.logging.disable_progress_bar()
warnings.simplefilter("ignore")


# Layers whose output runs into a norm. A quiet model has them small, so that the norm's epsilon shows.
# Those of the second list read such an output themselves: only their bias has to shrink.
BEFORE_NORM = ("conv_in", "conv1", "conv2", "time_emb_proj", "proj_in", "to_out.0", "ff.net.2", "out_proj", "fc2",
               "token_embedding", "position_embedding", "class_embedding", "patch_embedding")
BETWEEN = ("conv_shortcut.bias", "samplers.0.conv.bias", "proj_out.bias")


def randomise(model, generator, quiet=1.0):
    """Weights that keep activations near 1 and attention far from uniform, norms that are not the identity."""
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        is_norm = "norm" in name.split(".")[-2:][0]
        if is_norm:
            noise = 1 + 0.3 * noise if name.endswith("weight") else 0.2 * noise
        elif name.endswith("bias"):
            noise = 0.2 * noise
        elif "token_embedding" in name or name.endswith("class_embedding"):
            pass
        elif "position_embedding" in name:
            noise = 0.5 * noise
        elif p.dim() >= 2:
            sharp = any(part in name for part in ("to_q", "to_k", "q_proj", "k_proj"))
            noise = noise * (1.6 if sharp else 1.0) / p[0].numel() ** 0.5
        else:
            noise = p.detach()  # logit_scale
        if any(part in name for part in BEFORE_NORM + BETWEEN):
            noise = noise * quiet
        p.data.copy_(noise)


def build(case, folder):
    """Write case's model (and CLIP) under `folder`, as diffusers and transformers save them."""
    shutil.rmtree(folder, ignore_errors=True)
    generator = torch.Generator().manual_seed(case["seed"])
    vocab_size = 512 + bpe.MERGES + 2
    positions = case["text"]["max_position_embeddings"]
    bpe.save(folder / "tokenizer", positions, case.get("pad", bpe.END))
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")

    unet = UNet2DConditionModel(**case["unet"])
    vae = AutoencoderKL(**case["vae"])
    ids = dict(bos_token_id=0, eos_token_id=2, pad_token_id=1)  # wrong, as in every published SD
    text_encoder = CLIPTextModel(CLIPTextConfig(vocab_size=vocab_size, **(ids | case["text"])))
    for model in (unet, vae, text_encoder):
        randomise(model, generator, case.get("quiet", 1.0))
    # One row of nothing but zeros: all its scores tie.
    first = next(n for n in unet.state_dict() if n.endswith("attn2.to_v.weight"))
    unet.state_dict()[first][1].zero_()

    pipe = StableDiffusionPipeline(vae, text_encoder, tokenizer, unet, DDIMScheduler(steps_offset=1, clip_sample=False),
                                   safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    if case.get("half"):
        pipe.to(torch.float16)
    tokenizer_files = {p.name: p.read_bytes() for p in (folder / "tokenizer").iterdir()}
    pipe.save_pretrained(folder)
    for path in (folder / "tokenizer").iterdir():
        path.unlink()
    for name, content in tokenizer_files.items():
        (folder / "tokenizer" / name).write_bytes(content)
    if "shard" in case:
        (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
        unet.save_pretrained(folder / "unet", max_shard_size=case["shard"])
    bpe.write_json(folder / "scheduler" / "scheduler_config.json", case["scheduler"])
    index = json.loads((folder / "model_index.json").read_text())
    index["scheduler"][1] = case["scheduler"]["_class_name"]
    bpe.write_json(folder / "model_index.json", index)
    make_awkward(case, folder)
    if "clip" in case:
        build_clip(case, folder / "clip", generator, vocab_size)


def build_clip(case, folder, generator, vocab_size):
    spec = case["clip"]
    projection = dict(projection_dim=spec["projection"])
    config = CLIPConfig(text_config=CLIPTextConfig(vocab_size=vocab_size, **(spec["text"] | projection)).to_dict(),
                        vision_config=CLIPVisionConfig(**(spec["vision"] | projection)).to_dict(), **projection)
    clip = CLIPModel(config)
    randomise(clip, generator, spec.get("quiet", 1.0))
    if case.get("half"):
        clip.to(torch.float16)
    clip.save_pretrained(folder)
    size = spec["vision"]["image_size"]
    CLIPImageProcessor(size={"shortest_edge": size}, crop_size={"height": size, "width": size}).save_pretrained(folder)
    bpe.save(folder, spec["text"]["max_position_embeddings"], bpe.END)


def make_awkward(case, folder):
    """What genuine files have and a fresh save has not."""
    for part, cls, known in (("unet", UNet2DConditionModel, cases.SD15_UNET), ("vae", AutoencoderKL, cases.SD15_VAE)):
        path = folder / part / "config.json"
        config = json.loads(path.read_text())
        if case.get("configs") == "sd15":
            config = {k: v for k, v in config.items() if k in known}
        elif case.get("configs") == "no defaults":
            defaults = {k: p.default for k, p in inspect.signature(cls.__init__).parameters.items()}
            config = {k: v for k, v in config.items() if k not in defaults or not same(defaults[k], v)}
        bpe.write_json(path, config)
    if case.get("old_vae_names"):
        old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
        rewrite(folder / "vae" / "diffusion_pytorch_model.safetensors",
                lambda n: next((n.replace(a, b) for a, b in old.items() if a in n), n))
    if case.get("position_ids"):
        rewrite(folder / "text_encoder" / "model.safetensors", lambda n: n, {
            "text_model.embeddings.position_ids": torch.arange(case["text"]["max_position_embeddings"])[None]})


def same(a, b):
    return list(a) == list(b) if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)) else a == b


def rewrite(path, rename, extra={}):
    tensors = {rename(n): t for n, t in load_file(path).items()}
    save_file(tensors | extra, path, metadata={"format": "pt"})


def load(folder, dtype):
    """(pipeline, CLIP or None) from the files, as a user of diffusers loads them, then brought to `dtype`."""
    pipe = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32, local_files_only=True)
    clip = CLIPModel.from_pretrained(folder / "clip", dtype=torch.float32) if (folder / "clip").exists() else None
    for model in (pipe.unet, pipe.vae, pipe.text_encoder, clip):
        if model is not None:
            model.to(dtype).eval().requires_grad_(False)
    return pipe, clip
