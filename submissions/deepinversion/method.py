"""DeepInversion: a network dreams up the images on which its channels are scored."""

from __future__ import annotations

from contextlib import ExitStack

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluator.contract import Batch, ChannelGroup, Job, Pruned, PruningMethod


def variation(images: Tensor) -> Tensor:
    """||x - x shifted by a pixel||_2, down, to the right and along both diagonals, in sum; mean over images."""
    down, right = images[..., 1:, :] - images[..., :-1, :], images[..., 1:] - images[..., :-1]
    falling = images[..., 1:, 1:] - images[..., :-1, :-1]
    rising = images[..., 1:, :-1] - images[..., :-1, 1:]
    return torch.stack([part.flatten(1).norm(dim=1).mean() for part in (down, right, falling, rising)]).sum()


def mismatch(norm: nn.BatchNorm1d | nn.BatchNorm2d, values: Tensor) -> Tensor:
    """||mean - running mean||_2 + ||variance - running variance||_2 for what enters a BatchNorm."""
    variance, mean = torch.var_mean(values.transpose(0, 1).flatten(1), dim=1, correction=0)
    return (mean - norm.running_mean).norm() + (variance - norm.running_var).norm()


def gates(group: ChannelGroup) -> list[nn.Module]:
    """Where a gate on the channels would be: the BatchNorms over them, or without any the layers that make them."""
    norms = [piece.module for piece in group.slices if piece.side == "norm"]
    return norms or [piece.module for piece in group.slices if piece.side == "out"]


def contributions(job: Job, batch: Batch) -> list[Tensor]:
    """(sum_s g_s w_s)^2 of every channel, group by group; s runs over the parameters of its gates."""
    parameters = [[p for module in gates(group) for p in module.parameters(recurse=False)] for group in job.groups()]
    error = F.cross_entropy(job.model(batch[0]), batch[1])
    gradients = iter(torch.autograd.grad(error, [p for part in parameters for p in part]))
    products = [[(p.detach() * next(gradients)).double().reshape(len(p), -1).sum(1) for p in part] for part in parameters]
    return [torch.stack(part).sum(0).square() for part in products]


class DeepInversion(PruningMethod):
    """Turn noise into images of given classes (Yin et al. 2020, section 3.2), and take Taylor scores on them (section 4.3).

    Adam minimises over the images x, for labels drawn at random,
        CE(x) + a_tv TV(x) + a_2 ||x||_2 + a_f sum_l (||mean_l(x) - running mean_l||_2 + ||var_l(x) - running var_l||_2),
    l over the BatchNorms: their running statistics are what a network remembers of its training images. No image is read.
    The channels of largest E[(sum_s g_s w_s)^2] on these images and labels stay (Molchanov et al. 2019, equation 8).

    Deviations: few images and ``steps``, where the paper takes thousands, and without flips and shifts of images; norms are
    means over images, with a weight of our own for TV and theirs for ImageNet for ||x||_2; linear layers are pruned as
    well; the changes at several BatchNorms in a row add up, and layers around a shortcut that make the same channel count
    as one gate; pixels stay within ``limit``; all BatchNorms count alike; no competition with a student; all channels go at
    once by the Taylor score alone, where the paper goes little by little, weighs scores with latency, and trains on its
    images by distillation; at least one channel of every group stays. Without BatchNorm, classes, TV and ||x||_2 alone
    shape the images, and s runs over filters and biases; in a network of few channels one or a few stay or go against the
    order, to come within 5 % of the speedup.
    """

    images: int
    batch_size: int
    steps: int
    rate: float
    limit: float
    smoothness: float
    size: float
    statistics: float

    def objective(self, job: Job, images: Tensor, labels: Tensor) -> Tensor:
        """What the images minimise."""
        distances: list[Tensor] = []

        def watch(norm: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
            (values,) = (*inputs, *named.values())
            distances.append(mismatch(norm, values))

        with ExitStack() as hooks:
            for module in job.model.modules():
                if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.running_mean is not None:
                    hooks.enter_context(module.register_forward_pre_hook(watch, with_kwargs=True))
            error = F.cross_entropy(job.model(images), labels)
        priors = self.smoothness * variation(images) + self.size * images.flatten(1).norm(dim=1).mean()
        return error + priors + self.statistics * sum(distances)

    def dream(self, job: Job) -> Batch:
        """Images, and the labels that they were made for."""
        images = torch.randn(self.images, *job.shape, generator=job.generator).to(job.device).requires_grad_()
        classes = job.model(images[:1].detach()).shape[1]
        labels = torch.randint(classes, (self.images,), generator=job.generator).to(job.device)
        optimizer = torch.optim.Adam([images], lr=self.rate)
        for _ in range(self.steps):
            (images.grad,) = torch.autograd.grad(self.objective(job, images, labels), images)
            optimizer.step()
            images.detach().clamp_(-self.limit, self.limit)
        return images.detach(), labels

    def prune(self, job: Job) -> Pruned:
        images, labels = self.dream(job)
        total = [torch.zeros(group.size, dtype=torch.float64, device=job.device) for group in job.groups()]
        for batch in zip(images.split(self.batch_size), labels.split(self.batch_size), strict=True):
            total = [old + new for old, new in zip(total, contributions(job, batch), strict=True)]
        return job.keep_channels(dict(enumerate(total)), scope="global")
