"""PyTorch's half of the peer table: the same rows, lines and tensors as engram_side.c.

    python torch_side.py ROW.json FOLDER THREADS

Makes FOLDER/in.safetensors and options.json for both sides, tries its ways of computing the row (channels last or not),
keeps the fastest, then obeys "run N" and "write FILE" on stdin. Training keeps its optimiser from one run to the next.
"""
import ctypes
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import diffusers
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextModel

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "golden"))
import parts  # noqa: E402


def component(cls, folder, name):
    """Weights are mapped by the loader; they are looked at once here, so that no run has to read them from the file."""
    model = cls.from_pretrained(folder / name, torch_dtype=torch.float32).eval().requires_grad_(False)
    for p in model.parameters():
        p.sum()
    return model


def scheduler_of(folder):
    kind = json.loads((folder / "scheduler/scheduler_config.json").read_text())["_class_name"]
    return getattr(diffusers, kind).from_pretrained(folder / "scheduler")


def draws(row):
    g = torch.Generator().manual_seed(sum(row["name"].encode()))

    def normal(*shape):
        return torch.randn(shape, generator=g)

    return g, normal


class Unet:
    """One pass of the UNet."""
    grad, layouts = False, True

    def __init__(self, row, folder):
        _, normal = draws(row)
        self.unet = component(UNet2DConditionModel, folder, "unet")
        c = self.unet.config
        self.inputs = dict(sample=normal(1, c.in_channels, *(side // 8 for side in row["size"])), timestep=torch.tensor([981.0]),
                           encoder_hidden_states=normal(1, 77, c.cross_attention_dim))

    def arrange(self, memory_format):
        self.unet.to(memory_format=memory_format)
        self.sample = self.inputs["sample"].to(memory_format=memory_format)

    def run(self):
        i = self.inputs
        self.out = self.unet(self.sample, i["timestep"], i["encoder_hidden_states"]).sample

    def results(self):
        return dict(sample=self.out)


class Decode:
    """One picture from its latent."""
    grad, layouts = False, True

    def __init__(self, row, folder):
        _, normal = draws(row)
        self.vae = component(AutoencoderKL, folder, "vae")
        self.inputs = dict(latent=normal(1, self.vae.config.latent_channels, *(side // 8 for side in row["size"])))

    def arrange(self, memory_format):
        self.vae.to(memory_format=memory_format)
        self.latent = self.inputs["latent"].to(memory_format=memory_format)

    def run(self):
        self.out = self.vae.decode(self.latent).sample

    def results(self):
        return dict(image=self.out)


class Sample:
    """A whole picture: text encoder, DDIM with guidance, decoder, as the pipeline of diffusers does it."""
    grad, layouts = False, True

    def __init__(self, row, folder):
        g, normal = draws(row)
        self.options = row["options"]
        pipe = SimpleNamespace(unet=component(UNet2DConditionModel, folder, "unet"),
                               vae=component(AutoencoderKL, folder, "vae"),
                               text_encoder=component(CLIPTextModel, folder, "text_encoder"), scheduler=scheduler_of(folder))
        self.model = SimpleNamespace(pipe=pipe, dtype=torch.float32)
        text = pipe.text_encoder.config
        ids = [torch.randint(0, text.vocab_size, (1, text.max_position_embeddings), generator=g) for _ in range(2)]
        self.inputs = dict(noise=normal(1, pipe.unet.config.in_channels, *(side // 8 for side in row["size"])),
                           cond_ids=ids[0], uncond_ids=ids[1])

    def arrange(self, memory_format):
        self.model.pipe.unet.to(memory_format=memory_format)
        self.model.pipe.vae.to(memory_format=memory_format)
        self.inputs["noise"] = self.inputs["noise"].to(memory_format=memory_format)

    def run(self):
        vae = self.model.pipe.vae
        self.latents = parts.sample(self.model, SimpleNamespace(**self.inputs), self.options)["latents"][-1]
        image = vae.decode(self.latents / vae.config.scaling_factor).sample
        self.pixels = (image / 2 + 0.5).clamp(0, 1).mul(255).round().to(torch.uint8)

    def results(self):
        return dict(latents=self.latents)


class Score:
    """|W| times the norms of the text states' columns, the best 30 % of each row, AND over prompts, by torch.topk."""
    grad, layouts = False, False

    def __init__(self, row, folder):
        _, normal = draws(row)
        unet = component(UNet2DConditionModel, folder, "unet")
        self.weights = {n: p.detach().clone() for n, p in parts.kv_weights(unet).items()}
        self.inputs = dict(states=normal(row["batch"], 77, unet.config.cross_attention_dim))

    def run(self):
        columns = self.inputs["states"].double().square().sum(dim=1).sqrt().float()
        self.general = {}
        for name, w in self.weights.items():
            size, common = w.abs(), torch.ones(w.shape, dtype=torch.bool)
            for v in columns:
                best = torch.topk(size * v, int(0.30 * w.shape[1]), dim=1, sorted=False).indices
                common &= torch.zeros_like(common).scatter_(1, best, True)
            self.general[name] = common

    def results(self):
        return {f"general.{n}": m.to(torch.uint8) for n, m in self.general.items()}


class AddedRow(torch.nn.Module):
    """A frozen embedding table with one trained row behind it, without copying the table."""

    def __init__(self, table, row):
        super().__init__()
        self.weight, self.row = table, torch.nn.Parameter(row)

    def forward(self, ids):
        last = len(self.weight)
        return torch.where((ids == last)[..., None], self.row, F.embedding(ids.clamp(max=last - 1), self.weight))


class Step:
    """Forward, backward, clipping, Adam on the masked neurons and the token's row."""
    grad, layouts = True, True

    def __init__(self, row, folder):
        g, normal = draws(row)
        self.options = row["options"]
        self.unet, self.text = component(UNet2DConditionModel, folder, "unet"), component(CLIPTextModel, folder, "text_encoder")
        self.weights = {n: p.requires_grad_() for n, p in parts.kv_weights(self.unet).items()}
        text, batch = self.text.config, row["batch"]
        latent = batch, self.unet.config.in_channels, *(side // 8 for side in row["size"])
        ids = torch.randint(0, text.vocab_size, (batch, text.max_position_embeddings), generator=g)
        ids[:, 3] = text.vocab_size
        self.inputs = dict(latent=normal(*latent), noise=normal(*latent), input_ids=ids, token_row=normal(text.hidden_size),
                           timestep=torch.randint(1, 1000, (batch,), generator=g))
        masks = {n: torch.rand(p.shape, generator=g) < 0.06 for n, p in self.weights.items()}
        self.inputs |= {f"mask.{n}": m.float() for n, m in masks.items()}
        self.at = {n: m.flatten().nonzero()[:, 0] for n, m in masks.items()}
        self.embedding = AddedRow(self.text.get_input_embeddings().weight, self.inputs["token_row"].clone())
        self.text.set_input_embeddings(self.embedding)
        self.scheduler = diffusers.DDPMScheduler.from_config(scheduler_of(folder).config)
        self.start = {n: p.detach().clone() for n, p in self.weights.items()}

    def arrange(self, memory_format):
        """Also the beginning of training: weights, row and moments as at first."""
        self.unet.to(memory_format=memory_format)
        x, o = self.inputs, self.options
        self.embedding.row.data.copy_(x["token_row"])
        for n, p in self.weights.items():
            p.data.copy_(self.start[n])
        self.lists = {n: self.start[n].flatten()[at].requires_grad_() for n, at in self.at.items()}
        self.params = [self.embedding.row, *self.lists.values()]
        self.adam = torch.optim.Adam([{"params": self.params[:1], "lr": o["lr_token"]},
                                      {"params": self.params[1:], "lr": o["lr_neuron"]}], betas=o["betas"], eps=o["eps"])
        self.noisy = self.scheduler.add_noise(x["latent"], x["noise"], x["timestep"]).to(memory_format=memory_format)
        velocity = self.scheduler.config.prediction_type == "v_prediction"
        self.target = self.scheduler.get_velocity(x["latent"], x["noise"], x["timestep"]) if velocity else x["noise"]

    def run(self):
        for p in (*self.weights.values(), *self.params):
            p.grad = None
        states = self.text(self.inputs["input_ids"]).last_hidden_state
        loss = F.mse_loss(self.unet(self.noisy, self.inputs["timestep"], states).sample, self.target)
        loss.backward()
        for n, values in self.lists.items():
            values.grad = self.weights[n].grad.flatten()[self.at[n]]
        self.norm = torch.nn.utils.clip_grad_norm_(self.params, self.options["clip"])
        self.adam.step()
        with torch.no_grad():
            for n, values in self.lists.items():
                self.weights[n].view(-1)[self.at[n]] = values
        self.loss = loss.detach()

    def results(self):
        return dict(loss=self.loss[None], grad_norm=self.norm[None], token_row=self.embedding.row.detach())


KINDS = {"unet": Unet, "vae-decode": Decode, "sample": Sample, "score": Score, "step": Step}


def timed(work):
    start = time.perf_counter()
    with torch.enable_grad() if work.grad else torch.inference_mode():
        work.run()
    return time.perf_counter() - start


def memory(key):
    line = next(line for line in open("/proc/self/status") if line.startswith(key + ":"))
    return 1024 * int(line.split()[1])


def first_run(work):
    """Seconds of one run; by how many bytes its highest resident memory exceeds what was resident before; that highest. The
    CPU allocator of PyTorch keeps nothing; what malloc keeps is given back first."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = memory("VmRSS")
    seconds = timed(work)
    highest = memory("VmHWM")
    return seconds, highest - before, highest


def choose_layout(work):
    """The faster of channels_last on and off; of a slow row one run each, without a run to warm up. Its memory is what the
    process had needed until then: contiguous comes first, and pays for no other layout."""
    found, highest = {}, memory("VmHWM")
    for name, layout in (("contiguous", torch.contiguous_format), ("channels_last", torch.channels_last)):
        if work.layouts:
            work.arrange(layout)
        elif found:
            break
        highest = max(highest, memory("VmHWM"))
        seconds, grown, top = first_run(work)
        highest = max(highest, top)
        if seconds < 5:
            seconds = min(timed(work), timed(work))
        found[name] = {"seconds": seconds, "grown": grown, "highest": highest}
    best = min(found, key=lambda name: found[name]["seconds"])
    if work.layouts:
        work.arrange(torch.channels_last if best == "channels_last" else torch.contiguous_format)
    return {"layout": best if work.layouts else "-", "layouts": found} | found[best]


def save(tensors, path):
    save_file({n: t.detach().contiguous().clone() for n, t in tensors.items()}, path)


def main(row, folder, threads):
    torch.set_num_threads(threads)
    work = KINDS[row["kind"]](row, ROOT / row["model"])
    save(work.inputs, folder / "in.safetensors")
    (folder / "options.json").write_text(json.dumps(row["options"]))
    print("ready", json.dumps({"torch": torch.__version__, "diffusers": diffusers.__version__, **choose_layout(work)}), flush=True)
    for line in sys.stdin:
        word, _, path = line.strip().partition(" ")
        if word == "run":
            print(sum(timed(work) for _ in range(int(path))), flush=True)
        elif word == "write":
            save(work.results(), path)
            print("written", flush=True)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]), int(sys.argv[3]))
