"""Muon for matrices and kernels, Adam for the rest. On two cores steps are dear; Muon needs clearly fewer of them.

Muon replaces the momentum of a matrix by (nearly) its closest orthogonal matrix, through five Newton-Schulz steps.
The factor 0.2 sqrt(longer side) gives its updates the size that Adam's would have, so both share one rate.
"""
import torch

import gradients


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
        rank, size = gradients.place()
        for group in self.param_groups:
            updates = []
            for i, p in enumerate(p for p in group["params"] if p.grad is not None):
                state = self.state[p]
                if "m" not in state:
                    state["m"] = torch.zeros_like(p)
                m = state["m"].lerp_(p.grad, 1 - group["momentum"])
                mine = i % size == rank
                u = p.grad.lerp(m, group["momentum"]).reshape(len(p), -1)
                updates.append((p, orthogonal(u) if mine else torch.zeros_like(u)))
            # Every process makes its share of the updates; the sum over processes is all of them.
            gradients.add([u for _, u in updates], size)
            for p, u in updates:
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(u.view(p.shape), alpha=-group["lr"] * 0.2 * max(len(p), p[0].numel()) ** 0.5)


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
