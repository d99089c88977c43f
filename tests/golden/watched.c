/* watched.c - the check backend runs whole networks: no kernel reads what nobody wrote, writes past its buffer, or changes an
 * input. One case of everything; the rest of the cases differ in numbers only. */
#include "tests/golden/support/golden.h"

int main(void)
{
    golden_agrees("micro", "text", &parts_model, kernels_check());
    golden_agrees("ragged", "unet", &parts_model, kernels_check());
    golden_agrees("classic", "vae-encode", &parts_model, kernels_check());
    golden_agrees("classic", "vae-decode", &parts_model, kernels_check());
    golden_agrees("classic", "clip-text", &parts_model, kernels_check());
    golden_agrees("classic", "clip-image", &parts_model, kernels_check());
    golden_agrees("ragged", "sample_ddim", &parts_sample, kernels_check());
    golden_agrees("ragged", "loss_detach", &parts_model, kernels_check());
    return done_testing();
}
