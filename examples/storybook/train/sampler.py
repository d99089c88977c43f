"""Samples from an exported model with diffusers' own classes, as any user of the files would."""
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, DPMSolverMultistepScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer


class Sampler:
    """`solver` is "dpm" (DPM-Solver++ 2M: twelve steps do) or "ddim"."""

    def __init__(self, folder, solver="dpm"):
        folder = Path(folder)
        self.unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32).eval()
        self.unet.to(memory_format=torch.channels_last)
        self.vae = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32).eval()
        self.text = CLIPTextModel.from_pretrained(folder / "text_encoder", torch_dtype=torch.float32).eval()
        self.tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        kind = {"dpm": DPMSolverMultistepScheduler, "ddim": DDIMScheduler}[solver]
        self.scheduler = kind.from_pretrained(folder / "scheduler")

    def embed(self, captions):
        ids = self.tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt").input_ids
        return self.text(ids).last_hidden_state

    @torch.no_grad()
    def images(self, captions, steps, guidance, seed, batch=100):
        """Drawings in [-1, 1], one for each caption."""
        out = []
        generator = torch.Generator().manual_seed(seed)
        empty = self.embed([""])
        c = self.unet.config
        for i in range(0, len(captions), batch):
            text = self.embed(captions[i:i + batch])
            both = torch.cat([empty.expand_as(text), text])
            z = torch.randn((len(text), c.in_channels, c.sample_size, c.sample_size), generator=generator)
            self.scheduler.set_timesteps(steps)
            for t in self.scheduler.timesteps:
                a, b = self.unet(torch.cat([z, z]).contiguous(memory_format=torch.channels_last), t, both).sample.chunk(2)
                z = self.scheduler.step(a + guidance * (b - a), t, z).prev_sample
            out.append(self.vae.decode(z / self.vae.config.scaling_factor).sample.clamp(-1, 1))
        return torch.cat(out)
