"""One function per part: (model, inputs, options) -> outputs, computed by diffusers and transformers.

`model` carries pipe, clip and dtype. Inputs are the tensors of PART.in.safetensors, floats already in
model.dtype. README.md has the table; these functions are its fine print.
"""
from contextlib import contextmanager
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from diffusers import (DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, EulerAncestralDiscreteScheduler,
                       EulerDiscreteScheduler, PNDMScheduler)
from diffusers.models.attention_processor import AttnProcessor2_0
from diffusers.schedulers import scheduling_euler_ancestral_discrete as ancestral

# Name of the setting sample.sampler: the class, and what it is told beside the model's own scheduler file.
SAMPLERS = {"ddim": (DDIMScheduler, {}),
            "pndm": (PNDMScheduler, {"skip_prk_steps": True}),
            "dpm++2m": (DPMSolverMultistepScheduler, {}),
            "dpm++2m-karras": (DPMSolverMultistepScheduler, {"use_karras_sigmas": True}),
            "euler": (EulerDiscreteScheduler, {}),
            "euler-a": (EulerAncestralDiscreteScheduler, {})}


def text(model, x, _):
    return {"last_hidden_state": model.pipe.text_encoder(x.input_ids).last_hidden_state}


def unet(model, x, _):
    return {"sample": model.pipe.unet(x.sample, x.timestep, x.encoder_hidden_states).sample}


def vae_encode(model, x, _):
    posterior = model.pipe.vae.encode(x.image).latent_dist
    return {"mean": posterior.mean, "logvar": posterior.logvar}


def vae_decode(model, x, _):
    return {"image": model.pipe.vae.decode(x.latent).sample}


def clip_text(model, x, _):
    return {"text_embeds": model.clip.get_text_features(x.input_ids)}


def clip_image(model, x, _):
    return {"image_embeds": model.clip.get_image_features(x.pixel_values)}


def sample(model, x, options):
    """The loop of StableDiffusionPipeline.__call__; the pipeline's constructor has already fixed the config."""
    pipe = model.pipe
    cls, told = SAMPLERS[options.get("sampler", "ddim")]
    scheduler = cls.from_config(pipe.scheduler.config, **told)
    if cls in (DDIMScheduler, PNDMScheduler):  # the float32 table, widened; the others keep float32 levels in every run
        scheduler.alphas_cumprod = scheduler.alphas_cumprod.to(model.dtype)
        scheduler.final_alpha_cumprod = scheduler.final_alpha_cumprod.to(model.dtype)
    scheduler.set_timesteps(options["steps"])
    context = pipe.text_encoder(torch.cat([x.uncond_ids, x.cond_ids])).last_hidden_state
    latents = x.noise * scheduler.init_noise_sigma
    trajectory = [latents]
    for i, t in enumerate(scheduler.timesteps):
        both = scheduler.scale_model_input(torch.cat([latents] * 2), t)
        uncond, cond = pipe.unet(both, t, context).sample.chunk(2)
        guided = uncond + options["guidance"] * (cond - uncond)
        z = x.step_noise[i] if hasattr(x, "step_noise") else None
        more = dict(eta=options.get("eta", 0.0), variance_noise=z) if cls is DDIMScheduler else {}
        ancestral.randn_tensor = lambda shape, **_: z
        latents = scheduler.step(guided, t, latents, **more).prev_sample
        trajectory.append(latents)
    return {"latents": torch.stack(trajectory)}


class DetachStart(AttnProcessor2_0):
    """Cross-attention as Custom Diffusion trains it: the start token's key and value are constants."""

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, temb=None):
        def heads(t):
            return t.unflatten(-1, (attn.heads, -1)).transpose(1, 2)

        k, v = (torch.cat([t[:, :1].detach(), t[:, 1:]], dim=1)
                for t in (attn.to_k(encoder_hidden_states), attn.to_v(encoder_hidden_states)))
        out = F.scaled_dot_product_attention(heads(attn.to_q(hidden_states)), heads(k), heads(v))
        return attn.to_out[0](out.transpose(1, 2).flatten(2))


@contextmanager
def trainable(model, x, detach_bos):
    """K/V weights and one added embedding row, ready for gradients; the model is as before afterwards."""
    pipe = model.pipe
    embedding = pipe.text_encoder.get_input_embeddings()
    old_rows, old_processors = embedding.weight, dict(pipe.unet.attn_processors)
    assert x.token_id.item() == len(old_rows)
    row = x.token_row.clone().requires_grad_()
    weights = {n: p.requires_grad_() for n, p in kv_weights(pipe.unet).items()}
    if detach_bos:
        pipe.unet.set_attn_processor({n: DetachStart() if "attn2" in n else p for n, p in old_processors.items()})
    del embedding._parameters["weight"]
    embedding.weight = torch.cat([old_rows, row[None]])
    try:
        yield weights, row
    finally:
        del embedding.weight
        embedding.weight = torch.nn.Parameter(old_rows, requires_grad=False)
        pipe.unet.set_attn_processor(old_processors)
        for p in weights.values():
            p.requires_grad_(False)
            p.grad = None


def kv_weights(unet):
    return {n: p for n, p in unet.named_parameters() if n.endswith(("attn2.to_k.weight", "attn2.to_v.weight"))}


def weighted_loss(model, x):
    pipe = model.pipe
    scheduler = DDPMScheduler.from_config(pipe.scheduler.config)
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.to(model.dtype)
    noisy = scheduler.add_noise(x.latent, x.noise, x.timestep)
    if scheduler.config.prediction_type == "v_prediction":
        target = scheduler.get_velocity(x.latent, x.noise, x.timestep)
    else:
        target = x.noise
    context = pipe.text_encoder(x.input_ids).last_hidden_state
    error = (pipe.unet(noisy, x.timestep, context).sample - target) ** 2
    per_sample = error.mean(dim=(1, 2, 3))
    return (x.weight * per_sample).sum() / len(per_sample), per_sample


def loss(model, x, options):
    with torch.enable_grad(), trainable(model, x, options["detach_bos"]) as (weights, row):
        total, per_sample = weighted_loss(model, x)
        total.backward()
        return {"loss": total[None], "loss_per_sample": per_sample, "grad.token_row": row.grad} | {
            f"grad.{n}": p.grad for n, p in weights.items()}


def step(model, x, options):
    """One step: gradients, masked; clipped by their one global norm; Adam from zero moments; other weights untouched."""
    with torch.enable_grad(), trainable(model, x, options["detach_bos"]) as (weights, row):
        total, per_sample = weighted_loss(model, x)
        total.backward()
        kept = {n: getattr(x, f"mask.{n}").bool() for n in weights}
        lists = {n: p.detach()[kept[n]].requires_grad_() for n, p in weights.items()}
        for n, values in lists.items():
            values.grad = weights[n].grad[kept[n]]
        params = [row, *lists.values()]
        norm = torch.nn.utils.clip_grad_norm_(params, options["clip"])
        torch.optim.Adam([{"params": [row], "lr": options["lr_token"]},
                          {"params": list(lists.values()), "lr": options["lr_neuron"]}],
                         betas=options["betas"], eps=options["eps"]).step()
        out = {"loss": total[None], "loss_per_sample": per_sample, "grad_norm": norm[None], "token_row": row.clone()}
        for n, p in weights.items():
            new = p.detach().clone()
            new[kept[n]] = lists[n].detach()
            out[f"weight.{n}"] = new
        return out


def scores(model, x, _):
    """{name: |W| * column norm of the text states over all T positions}, each [P, out, in], in float64."""
    states = model.pipe.text_encoder(x.input_ids).last_hidden_state.double()
    columns = states.square().sum(dim=1).sqrt()
    return {n: w.double().abs()[None] * columns[:, None, :] for n, w in kv_weights(model.pipe.unet).items()}


def score(model, x, _):
    out = {}
    for n, s in scores(model, x, _).items():
        best = s.argsort(dim=-1, descending=True, stable=True)[..., :int(0.30 * s.shape[-1])]
        mask = torch.zeros(s.shape, dtype=torch.uint8).scatter_(-1, best, 1)
        out[f"mask.{n}"], out[f"general.{n}"] = mask, mask.amin(dim=0)
    return out


PARTS = {"text": text, "unet": unet, "vae-encode": vae_encode, "vae-decode": vae_decode, "clip-text": clip_text,
         "clip-image": clip_image, "sample": sample, "loss": loss, "scores": scores, "score": score, "step": step}


def run(part, model, inputs, options):
    widened = {n: t.to(model.dtype) if t.is_floating_point() else t for n, t in inputs.items()}
    before = torch.get_default_dtype()
    torch.set_default_dtype(model.dtype)  # transformers makes the causal mask in the default type
    try:
        with torch.no_grad():
            return PARTS[part.split("_")[0]](model, SimpleNamespace(**widened), options)
    finally:
        torch.set_default_dtype(before)
