/* sampling.c - whole trajectories with guidance against diffusers: text encoder, K/V as data, UNet and every sampler together. */
#include "tests/golden/support/golden.h"

int main(void)
{
    const char *const cases[] = {"classic", "ragged", "micro", "storybook"};
    const char *const samplers[] = {"sample_ddim-eta",       "sample_pndm",  "sample_dpm++2m",
                                    "sample_dpm++2m-karras", "sample_euler", "sample_euler-a"};
    for (int i = 0; i < 4; i++)
        golden_agrees(cases[i], "sample_ddim", &parts_sample, kernels_cpu());
    for (int i = 1; i < 4; i++)
        for (int j = 0; j < 6; j++)
            golden_agrees(cases[i], samplers[j], &parts_sample, kernels_cpu());
    return done_testing();
}
