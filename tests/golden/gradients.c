/* gradients.c - the personalization loss and its gradients against autograd, with and without a detached start token. */
#include "tests/golden/support/golden.h"

int main(void)
{
    const char *const cases[] = {"classic", "ragged", "micro", "storybook"};
    for (int i = 0; i < 4; i++) {
        golden_agrees(cases[i], "loss", &parts_model, kernels_cpu());
        golden_agrees(cases[i], "loss_detach", &parts_model, kernels_cpu());
    }
    return done_testing();
}
