"""Fits the encoder, encodes the training drawings once and writes their captions as token ids.

Latents are divided by their standard deviation over the set; the reciprocal is the VAE's scaling_factor.
"""
import random

import torch
from transformers import CLIPTokenizer

from data import load, to_tensor
from linear_encoder import SAMPLE, encode_fast, set_encoder
from make_tokenizer import write as write_tokenizer
from models import TOKENS, new_vae
from paths import WORK, save_atomically
from world.captions import caption

CAPTIONS = 6
PATH = WORK / "latents.pt"
ENCODER = WORK / "encoder.pt"
TOKENIZER = WORK / "tokenizer"


def tokenizer():
    if not TOKENIZER.exists():
        write_tokenizer(TOKENIZER)
    return CLIPTokenizer.from_pretrained(TOKENIZER)


def token_ids(captions):
    out = tokenizer()(captions, padding="max_length", truncation=True, max_length=TOKENS)
    return torch.tensor(out.input_ids)


def main():
    torch.manual_seed(1)
    torch.set_num_threads(2)
    scenes, images, _ = load("train")
    vae = new_vae()
    fit = set_encoder(vae, to_tensor(images[:SAMPLE]))
    save_atomically(lambda p: torch.save({"vae": vae.state_dict()}, p), ENCODER)
    z = torch.cat([encode_fast(fit, to_tensor(images[i:i + 1000])) for i in range(0, len(images), 1000)])
    scale = 1.0 / z.std().item()
    z = (z * scale).to(torch.float16)
    texts = [caption(random.Random(f"caption {i} {k}"), s) for i, s in enumerate(scenes) for k in range(CAPTIONS)]
    ids = token_ids(texts).to(torch.int16).view(len(scenes), CAPTIONS, TOKENS)
    save_atomically(lambda p: torch.save({"z": z, "scale": scale, "ids": ids, "empty": token_ids([""])}, p), PATH)
    print(f"{len(z)} latents, scaling_factor {scale:.4f}, mean {z.float().mean():.3f}")


if __name__ == "__main__":
    main()
