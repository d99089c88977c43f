"""Single-file checkpoints in original names: python original.py. See README.md, "Original checkpoints".

Writes tests/golden/original/: what every tensor of SD 1.5 and SD 2.1 is called there and here (sd15.txt, sd21.txt), the
case micro as one file, and a small SD 2.x-like model as a folder and as one file. Names come from the rules below and are
held against diffusers' own converters before anything is written.
"""
import re
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders import single_file_utils as reference
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel

import models
from cases import CROSS_DOWN, CROSS_UP, DOWN, SD_SCHEDULER, UP, text, vae

HERE = Path(__file__).resolve().parent
OUT = HERE / "original"
UNET, VAE, CLIP, OPEN_CLIP = ("model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer.",
                              "cond_stage_model.model.")

SD1 = dict(
    unet=dict(sample_size=64, cross_attention_dim=768, attention_head_dim=8),
    text=dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12))
SD2 = dict(
    unet=dict(sample_size=96, cross_attention_dim=1024, attention_head_dim=[5, 10, 20, 20], use_linear_projection=True),
    text=dict(hidden_size=1024, intermediate_size=4096, num_hidden_layers=23, num_attention_heads=16, hidden_act="gelu"))
FULL_VAE = dict(block_out_channels=(128, 256, 512, 512), layers_per_block=2,
                down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4)

OPEN = dict(
    seed=5, half=True, pad="!",
    unet=dict(block_out_channels=(8, 12), layers_per_block=1, down_block_types=(CROSS_DOWN, DOWN),
              up_block_types=(UP, CROSS_UP), cross_attention_dim=8, attention_head_dim=[2, 3], norm_num_groups=4,
              use_linear_projection=True, sample_size=4),
    vae=vae((4, 8), norm_num_groups=2, sample_size=8),
    text=text(8, 2, 2, 16, hidden_act="gelu"),
    scheduler=SD_SCHEDULER | {"_class_name": "DDIMScheduler", "prediction_type": "v_prediction"})


def substitute(name, rules):
    for pattern, to in rules:
        name = re.sub(pattern, to, name)
    return name


def unet_name(name, layers):
    block = layers + 1

    def down(m):
        level, kind, layer = int(m[1]), m[2], int(m[3])
        if kind == "downsamplers":
            return f"input_blocks.{(level + 1) * block}.0.op."
        return f"input_blocks.{1 + level * block + layer}.{int(kind == 'attentions')}."

    def up(m):
        level, kind, layer = int(m[1]), m[2], int(m[3])
        if kind == "upsamplers":
            return f"output_blocks.{level * block + layers}.{1 if level == 0 else 2}.conv."
        return f"output_blocks.{level * block + layer}.{int(kind == 'attentions')}."

    is_resnet = ".resnets." in name
    name = substitute(name, [
        (r"^down_blocks\.(\d+)\.(\w+)\.(\d+)\.(?:conv\.)?", down),
        (r"^up_blocks\.(\d+)\.(\w+)\.(\d+)\.(?:conv\.)?", up),
        (r"^mid_block\.resnets\.0", "middle_block.0"), (r"^mid_block\.attentions\.0", "middle_block.1"),
        (r"^mid_block\.resnets\.1", "middle_block.2"),
        (r"^conv_in\.", "input_blocks.0.0."), (r"^conv_norm_out\.", "out.0."), (r"^conv_out\.", "out.2."),
        (r"^time_embedding\.linear_1", "time_embed.0"), (r"^time_embedding\.linear_2", "time_embed.2")])
    if is_resnet:
        name = substitute(name, [(r"\.norm1\.", ".in_layers.0."), (r"\.conv1\.", ".in_layers.2."),
                                 (r"\.time_emb_proj\.", ".emb_layers.1."), (r"\.norm2\.", ".out_layers.0."),
                                 (r"\.conv2\.", ".out_layers.3."), (r"\.conv_shortcut\.", ".skip_connection.")])
    return UNET + name


def vae_name(name, levels):
    return VAE + substitute(name, [
        (r"encoder\.down_blocks\.(\d+)\.resnets\.", r"encoder.down.\1.block."),
        (r"encoder\.down_blocks\.(\d+)\.downsamplers\.0", r"encoder.down.\1.downsample"),
        (r"decoder\.up_blocks\.(\d+)\.resnets\.", lambda m: f"decoder.up.{levels - 1 - int(m[1])}.block."),
        (r"decoder\.up_blocks\.(\d+)\.upsamplers\.0", lambda m: f"decoder.up.{levels - 1 - int(m[1])}.upsample"),
        (r"mid_block\.resnets\.0", "mid.block_1"), (r"mid_block\.resnets\.1", "mid.block_2"),
        (r"mid_block\.attentions\.0", "mid.attn_1"),
        (r"attn_1\.group_norm", "attn_1.norm"), (r"attn_1\.to_([qkv])", r"attn_1.\1"),
        (r"attn_1\.to_out\.0", "attn_1.proj_out"),
        (r"conv_norm_out", "norm_out"), (r"conv_shortcut", "nin_shortcut")])


def open_clip_name(name):
    return OPEN_CLIP + substitute(name, [
        (r"^text_model\.embeddings\.token_embedding", "token_embedding"),
        (r"^text_model\.embeddings\.position_embedding\.weight", "positional_embedding"),
        (r"^text_model\.final_layer_norm", "ln_final"),
        (r"^text_model\.encoder\.layers\.", "transformer.resblocks."),
        (r"\.layer_norm([12])\.", r".ln_\1."), (r"\.mlp\.fc1\.", ".mlp.c_fc."), (r"\.mlp\.fc2\.", ".mlp.c_proj."),
        (r"\.self_attn\.out_proj\.", ".attn.out_proj."),
        (r"\.self_attn\.[qkv]_proj\.(weight|bias)$", r".attn.in_proj_\1")])


def single(unet, vae, encoder, layers, levels, is_open):
    """[(original name, tensor, inside name)]; fused rows under q's name."""
    out = [(unet_name(n, layers), t, n) for n, t in unet.items()]
    for n, t in vae.items():
        is_attention = ".attentions." in n and t.dim() == 2
        out.append((vae_name(n, levels), t[:, :, None, None] if is_attention else t, n))
    for n, t in encoder.items():
        if not is_open:
            out.append((CLIP + n, t, n))
        elif ".q_proj." in n:
            k, v = (encoder[n.replace("q_proj", other)] for other in ("k_proj", "v_proj"))
            out.append((open_clip_name(n), torch.cat([t, k, v]), n))
        elif ".k_proj." not in n and ".v_proj." not in n:
            out.append((open_clip_name(n), t, n))
    return out


def extras(entries, encoder, is_open, random):
    """What genuine files hold besides, and inference leaves out."""
    width = encoder["text_model.final_layer_norm.weight"].shape[0]
    if is_open:
        layers = 1 + max(int(m[1]) for n in encoder if (m := re.search(r"layers\.(\d+)\.", n)))
        last = f"{OPEN_CLIP}transformer.resblocks.{layers - 1}."
        entries += [(n.replace(f".{layers - 1}.", f".{layers}.", 1), random(t.shape), "-") for n, t, _ in list(entries)
                    if n.startswith(last)]
        entries += [(OPEN_CLIP + "text_projection", random((width, width)), "-"),
                    (OPEN_CLIP + "logit_scale", random(()), "-")]
    else:
        positions = encoder["text_model.embeddings.position_embedding.weight"].shape[0]
        entries.append((CLIP + "text_model.embeddings.position_ids", torch.arange(positions)[None], "-"))
    entries += [("betas", random((10,)), "-"), ("alphas_cumprod", random((10,)), "-"),
                ("model_ema.decay", random(()), "-"), ("model_ema.num_updates", torch.tensor(7), "-"),
                ("model_ema.diffusion_modelinput_blocks00bias", random((4,)), "-")]
    return entries


def check_with_diffusers(entries, unet, vae, encoder, unet_config, vae_config, model, is_open):
    file = {n: t for n, t, _ in entries}
    same(reference.convert_ldm_unet_checkpoint(dict(file), unet_config), unet)
    same(reference.convert_ldm_vae_checkpoint(dict(file), vae_config), vae)
    if is_open:
        got = reference.convert_open_clip_checkpoint(model, dict(file), prefix=OPEN_CLIP)
    else:
        got = reference.convert_ldm_clip_checkpoint(dict(file))
    layers = model.config.num_hidden_layers
    same({n: t for n, t in got.items() if f"layers.{layers}." not in n and n in encoder}, encoder)


def same(got, want):
    assert got.keys() == want.keys(), sorted(got.keys() ^ want.keys())[:6]
    for n, t in want.items():
        assert got[n].shape == t.shape, (n, got[n].shape, t.shape)
        assert t.is_meta or torch.equal(got[n], t), n


def listing(path, sizes, is_open):
    with torch.device("meta"):
        unet, vae = UNet2DConditionModel(**sizes["unet"]), AutoencoderKL(**FULL_VAE)
        model = CLIPTextModel(CLIPTextConfig(vocab_size=49408, **sizes["text"]))
    parts = [m.state_dict() for m in (unet, vae, model)]
    entries = extras(single(*parts, 2, 4, is_open), parts[2], is_open, lambda shape: torch.empty(shape, device="meta"))
    check_with_diffusers(entries, *parts, unet.config, vae.config, model, is_open)
    lines = (f"{n} {inside} {','.join(map(str, t.shape)) or '-'}\n" for n, t, inside in sorted(entries, key=lambda x: x[0]))
    path.write_text("".join(lines))


def write(folder, to, layers, levels, is_open):
    files = [load_file(next((folder / part).glob("*.safetensors"))) for part in ("unet", "vae", "text_encoder")]
    unet, vae, encoder = files
    g = torch.Generator().manual_seed(9)
    kind = unet["conv_in.weight"].dtype
    entries = extras(single(*files, layers, levels, is_open), encoder, is_open,
                     lambda shape: torch.randn(shape, generator=g).to(kind))
    config = UNet2DConditionModel.load_config(folder / "unet"), AutoencoderKL.load_config(folder / "vae")
    check_with_diffusers(entries, *files, *config, CLIPTextModel.from_pretrained(folder / "text_encoder"), is_open)
    save_file({n: t.contiguous() for n, t, _ in entries}, to)


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    listing(OUT / "sd15.txt", SD1, False)
    listing(OUT / "sd21.txt", SD2, True)
    write(HERE / "micro/model", OUT / "micro.safetensors", 1, 2, False)
    models.build(OPEN, OUT / "open/model")
    write(OUT / "open/model", OUT / "open.safetensors", 1, 2, True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
