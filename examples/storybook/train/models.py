"""The sizes of every model, in one place."""
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTextModel

SIDE = 64
LATENT_SIDE = 8
LATENT_CHANNELS = 24
TOKENS = 32                # model_max_length of the tokenizer
TEXT_WIDTH = 128


def new_vae():
    widths = (16, 32, 64, 128)
    return AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=LATENT_CHANNELS, block_out_channels=widths, layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * len(widths), up_block_types=("UpDecoderBlock2D",) * len(widths),
        norm_num_groups=8, sample_size=SIDE, mid_block_add_attention=False, scaling_factor=1.0, force_upcast=False)


def new_unet():
    return UNet2DConditionModel(
        sample_size=LATENT_SIDE, in_channels=LATENT_CHANNELS, out_channels=LATENT_CHANNELS,
        block_out_channels=(64, 128), layers_per_block=1, norm_num_groups=16,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=4, cross_attention_dim=TEXT_WIDTH)


def text_config(vocabulary, width=TEXT_WIDTH, layers=2, projection=TEXT_WIDTH):
    """The two special tokens are the vocabulary's last; padding is the end token, as in Stable Diffusion 1.x."""
    return CLIPTextConfig(
        vocab_size=vocabulary, hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers,
        num_attention_heads=4, max_position_embeddings=TOKENS, hidden_act="quick_gelu", projection_dim=projection,
        bos_token_id=vocabulary - 2, eos_token_id=vocabulary - 1, pad_token_id=vocabulary - 1)


def new_text_encoder(vocabulary):
    return CLIPTextModel(text_config(vocabulary))


def new_clip(vocabulary):
    vision = dict(hidden_size=128, intermediate_size=512, num_hidden_layers=3, num_attention_heads=4, image_size=SIDE,
                  patch_size=16, hidden_act="quick_gelu", projection_dim=96)
    return CLIPModel(CLIPConfig(text_config=text_config(vocabulary, 96, 2, 96).to_dict(), vision_config=vision,
                                projection_dim=96))
