/* networks.c - every network of a base model and of CLIP against diffusers and transformers, one forward pass each. */
#include "tests/golden/support/golden.h"

int main(void)
{
    const char *const cases[] = {"classic", "ragged", "micro", "storybook"};
    const char *const parts[] = {"text", "unet", "vae-encode", "vae-decode"};
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) golden_agrees(cases[i], parts[j], &parts_model, kernels_cpu());

    const char *const with_clip[] = {"classic", "storybook"};
    for (int i = 0; i < 2; i++) {
        golden_agrees(with_clip[i], "clip-text", &parts_model, kernels_cpu());
        golden_agrees(with_clip[i], "clip-image", &parts_model, kernels_cpu());
    }
    return done_testing();
}
