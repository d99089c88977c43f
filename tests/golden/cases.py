"""The cases: one small random Stable Diffusion each, chosen so that together they meet every branch."""

# Keys of the genuine SD 1.5 configs; a case with configs="sd15" keeps these and drops the rest, so
# that a reader must know the class defaults (scaling_factor 0.18215 above all).
SD15_UNET = """_class_name _diffusers_version act_fn attention_head_dim block_out_channels center_input_sample
cross_attention_dim down_block_types downsample_padding flip_sin_to_cos freq_shift in_channels layers_per_block
mid_block_scale_factor norm_eps norm_num_groups out_channels sample_size up_block_types""".split()
SD15_VAE = """_class_name _diffusers_version act_fn block_out_channels down_block_types in_channels latent_channels
layers_per_block norm_num_groups out_channels sample_size up_block_types""".split()

CROSS_DOWN, DOWN, CROSS_UP, UP = "CrossAttnDownBlock2D", "DownBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"

SD_SCHEDULER = {"_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", "beta_end": 0.012,
                "beta_schedule": "scaled_linear", "beta_start": 0.00085, "num_train_timesteps": 1000,
                "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1, "trained_betas": None,
                "clip_sample": False}


def vae(channels, **more):
    return dict(block_out_channels=channels, down_block_types=["DownEncoderBlock2D"] * len(channels),
                up_block_types=["UpDecoderBlock2D"] * len(channels), layers_per_block=1, norm_num_groups=4) | more


def text(width, heads, layers, mlp, positions=77, **more):
    return dict(hidden_size=width, num_attention_heads=heads, num_hidden_layers=layers, intermediate_size=mlp,
                max_position_embeddings=positions, projection_dim=width) | more


CASES = {
    # SD 1.x: heads as one number, conv projection, epsilon, quick_gelu; bare configs, old VAE names, position_ids.
    "classic": dict(
        seed=1, batch=2, latent=(8, 8), configs="sd15", old_vae_names=True, position_ids=True,
        unet=dict(block_out_channels=(16, 32), layers_per_block=2, down_block_types=(CROSS_DOWN, DOWN),
                  up_block_types=(UP, CROSS_UP), cross_attention_dim=24, attention_head_dim=8, norm_num_groups=8,
                  sample_size=8),
        vae=vae((8, 16), sample_size=16),
        text=text(24, 4, 3, 37, hidden_act="quick_gelu"),
        clip=dict(text=text(20, 4, 2, 40, hidden_act="quick_gelu", eos_token_id=2),
                  vision=dict(hidden_size=16, num_attention_heads=2, num_hidden_layers=2, intermediate_size=30,
                              image_size=32, patch_size=8, hidden_act="quick_gelu"), projection=12),
        scheduler=SD_SCHEDULER,
        step=dict(lr_token=5e-2, lr_neuron=3e-3, betas=[0.9, 0.999], eps=1e-8, clip=1e-3, detach_bos=1)),

    # SD 2.x: heads per level, linear projection, v prediction, gelu, pad "!", sides that do not halve, sharded UNet.
    # Quiet: what runs into the norms is so small that a wrong epsilon is seen.
    "ragged": dict(
        seed=2, batch=3, latent=(7, 9), shard="160KB", pad="!", quiet=0.03,
        unet=dict(block_out_channels=(8, 16, 24), layers_per_block=1, down_block_types=(CROSS_DOWN, CROSS_DOWN, DOWN),
                  up_block_types=(UP, CROSS_UP, CROSS_UP), cross_attention_dim=20, attention_head_dim=[2, 4, 3],
                  norm_num_groups=4, use_linear_projection=True, sample_size=9),
        vae=vae((8, 12, 16), layers_per_block=2, sample_size=32, scaling_factor=0.18215),
        text=text(20, 5, 2, 48, hidden_act="gelu"),
        scheduler=SD_SCHEDULER | {"_class_name": "DDIMScheduler", "prediction_type": "v_prediction"},
        step=dict(lr_token=1e-2, lr_neuron=1e-3, betas=[0.8, 0.99], eps=1e-2, clip=100.0, detach_bos=0)),

    # As small as it gets: head width 1, plain level first, two groups, configs without any key at its default.
    # The scheduler file asks for what the pipeline overrides (clip_sample, steps_offset 0) and keeps alpha 1 at the end.
    "micro": dict(
        seed=3, batch=1, latent=(4, 4), configs="no defaults",
        unet=dict(block_out_channels=(4, 8), layers_per_block=1, down_block_types=(DOWN, CROSS_DOWN),
                  up_block_types=(CROSS_UP, UP), cross_attention_dim=8, norm_num_groups=2, sample_size=4),
        vae=vae((4, 8), norm_num_groups=2, sample_size=8),
        text=text(8, 2, 2, 16, hidden_act="quick_gelu"),
        scheduler={"_class_name": "DDIMScheduler", "beta_end": 0.012, "beta_schedule": "scaled_linear",
                   "beta_start": 0.00085, "clip_sample": True, "steps_offset": 0, "num_train_timesteps": 1000},
        step=dict(lr_token=5e-2, lr_neuron=3e-3, betas=[0.9, 0.999], eps=1e-8, clip=1.0, detach_bos=1)),

    # The shape of the embedded Storybook: 16 latent channels, 4 VAE levels without attention, 32 positions, fp16 files.
    "storybook": dict(
        seed=4, batch=2, latent=(8, 8), half=True,
        unet=dict(in_channels=16, out_channels=16, block_out_channels=(16, 24), layers_per_block=1,
                  down_block_types=(CROSS_DOWN, CROSS_DOWN), up_block_types=(CROSS_UP, CROSS_UP),
                  cross_attention_dim=32, attention_head_dim=[2, 3], norm_num_groups=8, use_linear_projection=True,
                  sample_size=8),
        vae=vae((8, 8, 12, 16), latent_channels=16, mid_block_add_attention=False, scaling_factor=0.73,
                sample_size=64),
        text=text(32, 4, 2, 64, positions=32, hidden_act="quick_gelu"),
        clip=dict(text=text(24, 3, 2, 48, positions=32, hidden_act="gelu", bos_token_id=812, eos_token_id=813),
                  vision=dict(hidden_size=24, num_attention_heads=3, num_hidden_layers=2, intermediate_size=48,
                              image_size=64, patch_size=16, hidden_act="gelu"), projection=16, quiet=0.03),
        scheduler={"_class_name": "DDIMScheduler", "beta_end": 0.012, "beta_schedule": "scaled_linear",
                   "beta_start": 0.00085, "clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1,
                   "num_train_timesteps": 1000, "prediction_type": "epsilon", "timestep_spacing": "leading"},
        step=dict(lr_token=5e-2, lr_neuron=3e-3, betas=[0.9, 0.999], eps=1e-3, clip=1.0, detach_bos=1)),
}
