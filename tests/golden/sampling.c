/* sampling.c - ten DDIM steps with guidance against diffusers: text encoder, K/V as data, UNet, schedule together. */
#include "tests/golden/support/golden.h"

int main(void)
{
    const char *const cases[] = {"classic", "ragged", "micro", "storybook"};
    for (int i = 0; i < 4; i++) golden_agrees(cases[i], "ddim", &parts_model, kernels_cpu());
    return done_testing();
}
