"""Train a 1-D CNN on the BasicMotions recordings and write the ONNX model and its data.

    python examples/motions/train.py

The script uses one thread and one seed, so that the same package versions give the same files.
"""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from aeon.datasets import load_basic_motions
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
ACTIVITIES = ("badminton", "running", "standing", "walking")
SENSORS = 6
STEPS = 100
BATCH = 8

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Standardised recordings [N, 6, 100] and their activities, for training and for testing."""

    train_x: Floats
    train_y: Labels
    test_x: Floats
    test_y: Labels
    mean: Floats
    std: Floats


class Separable(nn.Module):
    """One filter in time per channel, then a mixing of the channels step by step."""

    def __init__(self, channels: int, outputs: int, stride: int) -> None:
        super().__init__()
        # A bias before a BatchNorm would only be subtracted again, so there is none.
        self.depthwise = nn.Conv1d(
            channels, channels, 5, stride=stride, padding=2, groups=channels, bias=False
        )
        self.norm1 = nn.BatchNorm1d(channels)
        self.pointwise = nn.Conv1d(channels, outputs, 1, bias=False)
        self.norm2 = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm1(self.depthwise(x)))
        return torch.relu(self.norm2(self.pointwise(x)))


class MotionsCnn1d(nn.Module):
    """A strided convolution, two separable blocks around a pooling, a mean, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(SENSORS, 32, 7, stride=2, padding=3, bias=False)
        self.norm = nn.BatchNorm1d(32)
        self.block1 = Separable(32, 48, stride=1)
        self.pool = nn.MaxPool1d(2)
        self.block2 = Separable(48, 64, stride=2)
        self.mean = nn.AdaptiveAvgPool1d(1)
        self.classify = nn.Linear(64, len(ACTIVITIES))

    def forward(self, motion: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.conv(motion)))
        x = self.block1(x)
        x = self.pool(x)
        x = self.block2(x)
        x = torch.flatten(self.mean(x), 1)
        scores: Tensor = self.classify(x)
        return scores


def load_split() -> Split:
    """Take the archive's own split, and standardise each sensor axis by the training half."""
    train, train_names = load_basic_motions(split="train")
    test, test_names = load_basic_motions(split="test")
    mean = train.mean(axis=(0, 2)).astype(np.float32)
    std = train.std(axis=(0, 2)).astype(np.float32)

    def standardised(x: npt.NDArray[np.float64]) -> Floats:
        return np.asarray((x - mean[:, None]) / std[:, None], dtype=np.float32)

    def numbered(names: Sequence[str]) -> Labels:
        return np.array([ACTIVITIES.index(name) for name in names], dtype=np.int64)

    return Split(
        standardised(train),
        numbered(train_names),
        standardised(test),
        numbered(test_names),
        mean,
        std,
    )


def varied(x: Tensor, random: torch.Generator) -> Tensor:
    """Start the recordings elsewhere and wear the watch looser: forty of them are few."""
    x = torch.roll(x, int(torch.randint(0, STEPS, (), generator=random)), dims=2)
    strength = 0.8 + 0.4 * torch.rand(len(x), 1, 1, generator=random)
    return x * strength + 0.02 * torch.randn(x.shape, generator=random)


def fit(model: nn.Module, split: Split, epochs: int, seed: int) -> None:
    """Run a fixed number of epochs; the test half chooses nothing, not even when to stop."""
    random = torch.Generator().manual_seed(seed)
    x, y = torch.from_numpy(split.train_x), torch.from_numpy(split.train_y)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
    batches = -(-len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=3e-3, total_steps=epochs * batches
    )
    model.train()
    for epoch in range(epochs):
        total = 0.0
        order = torch.randperm(len(x), generator=random)
        for start in range(0, len(x), BATCH):
            chosen = order[start : start + BATCH]
            scores = model(varied(x[chosen], random))
            loss = nn.functional.cross_entropy(scores, y[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(chosen)
        if (epoch + 1) % 10 == 0:
            print(f"epoch {epoch + 1:3}/{epochs}: loss {total / len(x):.4f}")
    model.eval()


def portable(trace: str) -> str:
    """Name the files of a stack trace from the repository's root, not from this machine's."""

    def shorten(found: re.Match[str]) -> str:
        path = Path(found[1]).resolve()
        if "site-packages" in path.parts:
            # The marker stays, so that a reader can still tell the library's frames from ours.
            short = Path(*path.parts[path.parts.index("site-packages") :])
        else:
            short = path.relative_to(REPOSITORY)
        return f'File "{short.as_posix()}"'

    return re.sub(r'File "([^"]+)"', shorten, trace)


def export(model: nn.Module, file: Path) -> None:
    """Write one self-contained ONNX file with a static batch of 1 and portable source lines."""
    program = torch.onnx.export(
        model,
        (torch.zeros(1, SENSORS, STEPS),),
        input_names=["motion"],
        output_names=["scores"],
        verbose=False,
    )
    if program is None:
        raise RuntimeError("the exporter gave no program; nmc's examples need dynamo=True")
    for node in program.model.graph:
        trace = node.metadata_props.get("pkg.torch.onnx.stack_trace")
        if trace is not None:
            node.metadata_props["pkg.torch.onnx.stack_trace"] = portable(trace)
    program.save(file, external_data=False)
    onnx.checker.check_model(str(file), full_check=True)


def accuracy(file: Path, x: Floats, y: Labels) -> float:
    """Measure the exported file rather than the torch model: it is what nmc will be given."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    scores = [session.run(None, {"motion": one[None]})[0] for one in x]
    return float(np.mean(np.argmax(np.concatenate(scores), axis=1) == y))


def save_data(split: Split, file: Path) -> None:
    """Write calibration inputs, the labelled test half, and what standardises a new recording."""
    np.savez_compressed(
        file,
        calib=split.train_x,
        x=split.test_x,
        y=split.test_y,
        mean=split.mean,
        std=split.std,
        activities=np.array(ACTIVITIES),
    )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Train the motions example and export it.")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the weights and the batches")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the two files")
    args = parser.parse_args(argv)
    # The order of a threaded sum is not fixed, and these layers are too small to gain by threads.
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    split = load_split()
    model = MotionsCnn1d()
    fit(model, split, args.epochs, args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    model_file = args.out / "motions_cnn1d.onnx"
    export(model, model_file)
    save_data(split, args.out / "motions.npz")
    for name, x, y in (
        ("training", split.train_x, split.train_y),
        ("test", split.test_x, split.test_y),
    ):
        print(f"{name}: {len(x)} recordings, {accuracy(model_file, x, y):.2%} right")


if __name__ == "__main__":
    main()
