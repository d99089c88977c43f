"""Muon for matrices and kernels, Adam for the rest. On two cores steps are dear; Muon needs clearly fewer of them.

Muon replaces the momentum of a matrix by (nearly) its closest orthogonal matrix, through five Newton-Schulz steps.
The factor 0.2 sqrt(longer side) gives its updates the size that Adam's would have, so both share one rate.
"""
import torch


def orthogonal(g):
    x = g if g.shape[0] <= g.shape[1] else g.T
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x if g.shape[0] <= g.shape[1] else x.T


class Muon(torch.optim.Optimizer):
    def __init__(self, matrices, lr, momentum=0.95, weight_decay=0.01):
        super().__init__(matrices, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if "m" not in state:
                    state["m"] = torch.zeros_like(p)
                m = state["m"].lerp_(p.grad, 1 - group["momentum"])
                u = p.grad.lerp(m, group["momentum"]).reshape(len(p), -1)
                u = orthogonal(u).view(p.shape)
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(u, alpha=-group["lr"] * 0.2 * max(len(p), p[0].numel()) ** 0.5)


class Both:
    """Two optimisers behind one face."""

    def __init__(self, module, lr, adam_names=()):
        """`adam_names`: matrices that are tables or ends rather than maps (embeddings, first and last layer)."""
        matrices, rest = [], []
        for name, p in module.named_parameters():
            if p.requires_grad:
                (rest if p.ndim < 2 or any(a in name for a in adam_names) else matrices).append(p)
        self.parts = [Muon(matrices, lr), torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.99), weight_decay=0.0)]

    def set_rate(self, lr):
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = lr

    def zero_grad(self):
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def step(self):
        for part in self.parts:
            part.step()

    def state_dict(self):
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states):
        for part, state in zip(self.parts, states):
            part.load_state_dict(state)
