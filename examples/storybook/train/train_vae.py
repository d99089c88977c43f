"""Trains the decoder: 8 x 8 x 24 latents back to 64 x 64 x 3. The encoder is fitted by latents.py and stays as it is.

    python train_vae.py [minutes] [threads]

Continues from its checkpoint.
"""
import sys
import time

import torch
import torch.nn.functional as F

from clock import Clock, rate
from data import load, to_tensor
from latents import ENCODER, PATH as LATENTS
from models import new_vae
from optimiser import Both
from paths import WORK, save_atomically

BATCH = 8
PEAK = 2e-3
NOISE = 0.05         # on latents of deviation 1: the decoder must forgive what a small UNet gets slightly wrong
CHECKPOINT = WORK / "vae.pt"


def edges(x):
    return x[:, :, :, 1:] - x[:, :, :, :-1], x[:, :, 1:] - x[:, :, :-1]


def reconstruction_loss(y, x):
    sharp = sum((a - b).abs().mean() for a, b in zip(edges(y), edges(x)))
    return F.mse_loss(y, x) + 0.1 * F.l1_loss(y, x) + 0.1 * sharp


def encode(vae, x):
    return vae.quant_conv(vae.encoder(x)).chunk(2, 1)[0]


def psnr(vae, images):
    """Mean over images of 10 log10(255^2 / MSE), from the mean of the latents, as bytes."""
    values = []
    with torch.no_grad():
        for i in range(0, len(images), 50):
            x = to_tensor(images[i:i + 50])
            y = vae.decoder(vae.post_quant_conv(encode(vae, x))).clamp(-1, 1)
            a, b = ((t + 1) * 127.5 for t in (x, y))
            mse = (a - b.round()).square().mean((1, 2, 3)).clamp_min(1e-3)
            values.append(10 * torch.log10(255.0 ** 2 / mse))
    return torch.cat(values).mean().item()


def main():
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 25
    torch.set_num_threads(int(sys.argv[2]) if len(sys.argv) > 2 else 2)
    torch.manual_seed(1)
    vae = new_vae()
    vae.load_state_dict(torch.load(ENCODER)["vae"])
    for part in (vae.encoder, vae.quant_conv):
        part.requires_grad_(False)
    optimiser = Both(vae, PEAK, ("conv_in", "conv_out"))
    clock, step = Clock(minutes), 0
    if CHECKPOINT.exists():
        state = torch.load(CHECKPOINT)
        vae.load_state_dict(state["vae"])
        optimiser.load_state_dict(state["optimiser"])
        clock, step = Clock(minutes, state["spent"]), state["step"]
    latents = torch.load(LATENTS)
    images, unseen = load("train")[1], load("unseen", 200)[1][:200]
    generator = torch.Generator().manual_seed(100 + step)
    smooth, saved, share = 0.0, time.time(), 0.0

    while share < 1.0:
        share = clock.tick()
        optimiser.set_rate(rate(PEAK, share, step))
        pick = torch.randint(len(images), (BATCH,), generator=generator)
        x = to_tensor(images[pick.numpy()])
        z = latents["z"][pick].float()
        z = (z + NOISE * torch.randn(z.shape, generator=generator)) / latents["scale"]
        loss = reconstruction_loss(vae.decoder(vae.post_quant_conv(z)), x)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimiser.step()
        step += 1
        smooth = loss.item() if smooth == 0 else 0.98 * smooth + 0.02 * loss.item()
        if step % 100 == 0:
            print(f"step {step} share {share:.3f} loss {smooth:.4f}", flush=True)
        if time.time() - saved > 180 or share >= 1.0:
            saved = time.time()
            save_atomically(lambda p: torch.save({"vae": vae.state_dict(), "optimiser": optimiser.state_dict(),
                                                  "spent": clock.spent, "step": step}, p), CHECKPOINT)
            print(f"step {step} psnr {psnr(vae, unseen):.2f} dB on unseen drawings", flush=True)


if __name__ == "__main__":
    main()
