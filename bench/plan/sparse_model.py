#!/usr/bin/env python3
"""A checkpoint of Stable Diffusion 1.5's exact names and shapes that takes no room: zeros in sparse files.

    build/parity-venv/bin/python bench/plan/sparse_model.py DIR         # DIR/unet, vae, text_encoder, clip ...

For plans and measurements of memory, which do not look at values. Shapes come from diffusers and transformers (meta device: nothing is
computed); the tokenizer is made here, with SD's number of words. float32; pictures of 256 pixels unless --side says otherwise.
"""
import argparse
import json
import os
import string

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTextModel


def write_sparse(path, model):
    header, at = {}, 0
    for name, t in sorted(model.state_dict().items()):
        if name.endswith("position_ids"):
            continue
        header[name] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": [at, at + 4 * t.numel()]}
        at += 4 * t.numel()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 64 + 56)        # data at a multiple of 64
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        f.truncate(8 + len(text) + at)
    print(f"{path}: {at / 2**20:.0f} MiB of zeros")


def write_json(path, value):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f)


def byte_letters():
    """CLIP's printable stand-ins for bytes."""
    plain = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    rest = [b for b in range(256) if b not in plain]
    return [chr(b) for b in plain] + [chr(256 + i) for i in range(len(rest))]


def write_tokenizer(folder, words):
    letters = byte_letters()
    tokens = letters + [c + "</w>" for c in letters]
    merges, seen = [], set(tokens)
    pieces = [c for c in letters if c in string.ascii_lowercase]
    frontier = list(pieces)
    while len(tokens) < words - 2:
        fresh = []
        for a in frontier:
            for b in pieces:
                for end in ("", "</w>"):
                    if a + b + end in seen or len(tokens) >= words - 2:
                        continue
                    merges.append(f"{a} {b}{end}")
                    tokens.append(a + b + end)
                    seen.add(a + b + end)
                    if not end:
                        fresh.append(a + b)
        frontier = fresh
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    write_json(f"{folder}/vocab.json", {t: i for i, t in enumerate(tokens)})
    with open(f"{folder}/merges.txt", "w", encoding="utf-8") as f:
        f.write("#version: 0.2\n" + "\n".join(merges) + "\n")
    write_json(f"{folder}/tokenizer_config.json", {"model_max_length": 77, "tokenizer_class": "CLIPTokenizer"})
    write_json(f"{folder}/special_tokens_map.json",
               {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>",
                "pad_token": "<|endoftext|>"})


def main():
    p = argparse.ArgumentParser()
    p.add_argument("dir")
    p.add_argument("--side", type=int, default=256)
    p.add_argument("--width", type=int, default=320, help="of the UNet's first level; less for a smaller model of the same build")
    o = p.parse_args()
    unet = {"in_channels": 4, "out_channels": 4, "sample_size": o.side // 8, "block_out_channels": [o.width * k for k in (1, 2, 4, 4)],
            "layers_per_block": 2, "cross_attention_dim": 768, "attention_head_dim": 8, "norm_num_groups": 32,
            "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
            "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3}
    vae = {"in_channels": 3, "out_channels": 3, "latent_channels": 4, "block_out_channels": [128, 256, 512, 512],
           "layers_per_block": 2, "norm_num_groups": 32, "sample_size": 512, "scaling_factor": 0.18215,
           "down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4}
    text = {"vocab_size": 49408, "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
            "num_attention_heads": 12, "max_position_embeddings": 77, "hidden_act": "quick_gelu", "projection_dim": 768,
            "bos_token_id": 49406, "eos_token_id": 49407}
    with torch.device("meta"):
        models = {"unet": UNet2DConditionModel(**unet), "vae": AutoencoderKL(**vae), "text": CLIPTextModel(CLIPTextConfig(**text)),
                  "clip": CLIPModel(CLIPConfig())}                 # CLIPConfig's own default is ViT-B/32
    write_sparse(f"{o.dir}/unet/diffusion_pytorch_model.safetensors", models["unet"])
    write_json(f"{o.dir}/unet/config.json", {"_class_name": "UNet2DConditionModel", **unet})
    write_sparse(f"{o.dir}/vae/diffusion_pytorch_model.safetensors", models["vae"])
    write_json(f"{o.dir}/vae/config.json", {"_class_name": "AutoencoderKL", **vae})
    write_sparse(f"{o.dir}/text_encoder/model.safetensors", models["text"])
    write_json(f"{o.dir}/text_encoder/config.json", {"architectures": ["CLIPTextModel"], "model_type": "clip_text_model", **text})
    write_sparse(f"{o.dir}/clip/model.safetensors", models["clip"])
    clip = CLIPConfig().to_dict()
    clip["text_config"].update(vocab_size=49408, bos_token_id=49406, eos_token_id=49407, projection_dim=512)
    write_json(f"{o.dir}/clip/config.json", clip)
    write_json(f"{o.dir}/clip/preprocessor_config.json",
               {"size": 224, "crop_size": 224, "image_mean": [0.48145466, 0.4578275, 0.40821073],
                "image_std": [0.26862954, 0.26130258, 0.27577711]})
    write_tokenizer(f"{o.dir}/tokenizer", 49408)
    write_tokenizer(f"{o.dir}/clip", 49408)
    write_json(f"{o.dir}/scheduler/scheduler_config.json",
               {"_class_name": "PNDMScheduler", "num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012,
                "beta_schedule": "scaled_linear", "steps_offset": 1, "set_alpha_to_one": False, "skip_prk_steps": True,
                "prediction_type": "epsilon"})
    write_json(f"{o.dir}/model_index.json",
               {"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"],
                "vae": ["diffusers", "AutoencoderKL"], "text_encoder": ["transformers", "CLIPTextModel"],
                "tokenizer": ["transformers", "CLIPTokenizer"], "scheduler": ["diffusers", "PNDMScheduler"]})


main()
