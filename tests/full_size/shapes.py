"""The shapes of the published models, as their own configuration files say them, and nothing that is at its default."""

CROSS_DOWN, DOWN, CROSS_UP, UP = "CrossAttnDownBlock2D", "DownBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"

UNET = dict(sample_size=64, in_channels=4, out_channels=4, block_out_channels=(320, 640, 1280, 1280),
            layers_per_block=2, down_block_types=(CROSS_DOWN, CROSS_DOWN, CROSS_DOWN, DOWN),
            up_block_types=(UP, CROSS_UP, CROSS_UP, CROSS_UP), norm_num_groups=32)
VAE = dict(block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4, norm_num_groups=32,
           down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, sample_size=512)


def text(width, heads, layers, act, projection):
    return dict(vocab_size=49408, hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers,
                num_attention_heads=heads, max_position_embeddings=77, hidden_act=act, projection_dim=projection)


def vision(width, heads, layers, patch):
    return dict(hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers, num_attention_heads=heads,
                image_size=224, patch_size=patch, hidden_act="quick_gelu")


# Ids as shipped with every Stable Diffusion: wrong, nobody may read them.
SHIPPED_IDS = dict(bos_token_id=0, eos_token_id=2, pad_token_id=1)

SCHEDULER = {"_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", "beta_end": 0.012,
             "beta_schedule": "scaled_linear", "beta_start": 0.00085, "num_train_timesteps": 1000,
             "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1, "trained_betas": None,
             "clip_sample": False}

# quiet: what runs into the norms is so small that an epsilon of 1e-5 in place of 1e-6 is seen.
MODELS = {
    "sd15": dict(seed=15, configs="sd15", old_vae_names=True, position_ids=True, pad="<|endoftext|>", quiet=1.0,
                 unet=UNET | dict(cross_attention_dim=768, attention_head_dim=8), vae=VAE,
                 text=text(768, 12, 12, "quick_gelu", 768), scheduler=SCHEDULER),
    "sd21": dict(seed=21, pad="!", quiet=0.03,
                 unet=UNET | dict(cross_attention_dim=1024, attention_head_dim=[5, 10, 20, 20],
                                  use_linear_projection=True, sample_size=96),
                 vae=VAE, text=text(1024, 16, 23, "gelu", 512),
                 scheduler=SCHEDULER | {"_class_name": "DDIMScheduler", "prediction_type": "v_prediction"}),
}
CLIPS = {
    "clip-b32": dict(seed=32, text=text(512, 8, 12, "quick_gelu", 512), vision=vision(768, 12, 12, 32), projection=512),
    "clip-l14": dict(seed=14, text=text(768, 12, 12, "quick_gelu", 768), vision=vision(1024, 16, 24, 14), projection=768),
}

# The same weights in another form.
VARIANTS = {
    "sd15-fp16": dict(of="sd15", form="fp16"),                 # a folder of .fp16.safetensors
    "sd15-single": dict(of="sd15", form="single", dtype="float32"),
    "sd15-single-fp16": dict(of="sd15", form="single", dtype="float16"),
    "sd21-single": dict(of="sd21", form="single", dtype="float32"),
    "sd15-64": dict(of="sd15", form="small"),                  # whose pictures are 64x64 unless somebody asks for more
}
