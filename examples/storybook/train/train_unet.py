"""Trains UNet and text encoder together on the diffusion loss (v prediction).

    python train_unet.py [minutes] [threads]

With WORLD_SIZE=2 and RANK=0 or 1 in the environment two processes train together, each on its own batches.
Continues from its checkpoint, keeps a moving average of the weights, exports it every few minutes.
"""
import sys
import time

import torch
from diffusers import DDIMScheduler

import gradients
from clock import Clock, rate
from export import SCHEDULER, export
from latents import PATH as LATENTS
from models import new_text_encoder, new_unet
from optimiser import Both
from paths import WORK, save_atomically

BATCH = 24           # of each process
PEAK = 2e-3
EMPTY = 0.1          # share of captions left empty, for classifier-free guidance
SNR_CAP = 5.0        # steps with little noise weigh less: what is drawn is decided where there is much
CHECKPOINT = WORK / "unet.pt"
SAVE_EVERY = 240.0


def main():
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 75
    torch.manual_seed(2)
    torch.set_num_threads(int(sys.argv[2]) if len(sys.argv) > 2 else 2)
    rank, size = gradients.start()
    data = torch.load(LATENTS)
    vocabulary = int(data["ids"].max()) + 1
    nets = torch.nn.ModuleDict({"unet": new_unet().to(memory_format=torch.channels_last),
                                "text": new_text_encoder(vocabulary)})
    average = {k: v.detach().clone() for k, v in nets.state_dict().items()}
    optimiser = Both(nets, PEAK, ("conv_in", "conv_out", "embedding.weight"))
    clock, step = Clock(minutes), 0
    if CHECKPOINT.exists():
        state = torch.load(CHECKPOINT)
        nets.load_state_dict(state["nets"])
        optimiser.load_state_dict(state["optimiser"])
        average, step, clock = state["average"], state["step"], Clock(minutes, state["spent"])
    alpha_bar = DDIMScheduler(**SCHEDULER).alphas_cumprod
    generator = torch.Generator().manual_seed(200 + step + 7919 * rank)
    smooth, saved, share = 0.0, time.time(), 0.0
    n = len(data["z"])

    while share < 1.0:
        share = gradients.agree(clock.tick(), size)
        optimiser.set_rate(rate(PEAK, share, step, warm_up=100))
        pick = torch.randint(n, (BATCH,), generator=generator)
        which = torch.randint(data["ids"].shape[1], (BATCH,), generator=generator)
        ids = data["ids"][pick, which].long()
        ids[torch.rand(BATCH, generator=generator) < EMPTY] = data["empty"][0]
        x = data["z"][pick].float()
        noise = torch.randn(x.shape, generator=generator)
        # Stratified times: the same spread of noise levels in every batch.
        t = ((torch.arange(BATCH) + torch.rand(BATCH, generator=generator)) * 1000 / BATCH).long()
        a = alpha_bar[t].view(-1, 1, 1, 1)
        noisy, v = a.sqrt() * x + (1 - a).sqrt() * noise, a.sqrt() * noise - (1 - a).sqrt() * x
        snr = alpha_bar[t] / (1 - alpha_bar[t])
        weight = (SNR_CAP / (snr + 1)).clamp(max=1.0)

        text = nets["text"](ids).last_hidden_state
        guess = nets["unet"](noisy.contiguous(memory_format=torch.channels_last), t, text).sample
        error = (guess - v).square().mean((1, 2, 3))
        loss = (weight * error).mean() / weight.mean()
        optimiser.zero_grad()
        loss.backward()
        gradients.average(nets.parameters(), size)
        torch.nn.utils.clip_grad_norm_(nets.parameters(), 1.0)
        optimiser.step()
        step += 1
        if rank:
            continue
        keep = min(0.999, (1 + step) / (20 + step))
        with torch.no_grad():
            for k, p in nets.state_dict().items():
                if p.is_floating_point():
                    average[k].lerp_(p, 1 - keep)
        smooth = loss.item() if smooth == 0 else 0.98 * smooth + 0.02 * loss.item()
        if step % 100 == 0:
            print(f"step {step} minutes {clock.spent / 60:.1f} share {share:.3f} loss {smooth:.4f}", flush=True)
        if time.time() - saved > SAVE_EVERY or share >= 1.0 or step == 100:
            saved = time.time()
            save_atomically(lambda p: torch.save({"nets": nets.state_dict(), "optimiser": optimiser.state_dict(),
                                                  "average": average, "step": step, "spent": clock.spent}, p), CHECKPOINT)
            export()
            print(f"step {step} exported", flush=True)


if __name__ == "__main__":
    main()
