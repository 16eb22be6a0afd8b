"""Minibatches by index against torch's DataLoader that visits one sample at a time (MNIST's size and type)."""

from __future__ import annotations

import torch
from common import arguments, interleaved, report

from pushforward.dataset import Dataset, batch_rows
from pushforward.noise import BatchNoise
from pushforward.spaces import Classes, Pixels


class PerSample(torch.utils.data.Dataset):
    def __init__(self, images: torch.Tensor, labels: torch.Tensor):
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return self.images[i] * (1 / 255), int(self.labels[i])


def main() -> None:
    args = arguments(repeats={"type": int, "default": 5})
    torch.set_num_threads(1)
    images = torch.randint(0, 256, (60_000, 1, 28, 28), dtype=torch.uint8)
    labels = torch.randint(0, 10, (60_000,))
    batch = 128
    count = 60_000 // batch // 4
    loader = torch.utils.data.DataLoader(PerSample(images, labels), batch_size=batch, shuffle=True)
    ours = Dataset(images, labels, space=Pixels(1, 28, 28), condition_space=Classes(10))

    def peer() -> None:
        for k, _ in enumerate(loader):
            if k == count:
                break

    def by_index() -> None:
        for draw in range(count):
            index = batch_rows(len(ours), batch, draw, 0)
            x, _ = ours.gather(index, BatchNoise(0, 0, batch, batch))
            x * (1 / 255)

    times = interleaved({"peer": peer, "ours": by_index}, args.repeats)
    rows = {
        "per-sample DataLoader, batches/s": count / times["peer"],
        "gather by index, batches/s": count / times["ours"],
        "ratio": times["peer"] / times["ours"],
    }
    report("data_rate", rows, args.write)


if __name__ == "__main__":
    main()
