"""Train a small residual CNN on scikit-learn's 8x8 digits and write the ONNX model and its data.

    python examples/digits/train.py

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
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
CALIBRATION_IMAGES = 100
BATCH = 32

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Images [N, 1, 8, 8] in 0..1 and their digits, for training and for testing."""

    train_x: Floats
    train_y: Labels
    test_x: Floats
    test_y: Labels


class Residual(nn.Module):
    """Two 3x3 convolutions around which the input is carried and added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        return torch.relu(x + y)


class DigitsCnn(nn.Module):
    """Two convolutions, a pooling, one residual block, one linear layer: 28,538 parameters."""

    def __init__(self) -> None:
        super().__init__()
        # A bias before a BatchNorm would only be subtracted again, so there is none.
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(32)
        self.pool = nn.MaxPool2d(2)
        self.block = Residual(32)
        self.classify = nn.Linear(32 * 4 * 4, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = torch.relu(self.norm1(self.conv1(image)))
        x = torch.relu(self.norm2(self.conv2(x)))
        x = self.pool(x)
        x = self.block(x)
        x = torch.flatten(x, 1)
        # No softmax: the largest score names the digit, and the chip is spared the exponentials.
        scores: Tensor = self.classify(x)
        return scores


def load_split(seed: int) -> Split:
    """Scale the 0..16 ink counts to 0..1 and hold a quarter of each digit's images back."""
    images, digits = load_digits(return_X_y=True)
    x = (images.reshape(-1, 1, 8, 8) / 16).astype(np.float32)
    parts = train_test_split(
        x, digits.astype(np.int64), test_size=0.25, stratify=digits, random_state=seed
    )
    train_x, test_x, train_y, test_y = parts
    return Split(train_x, train_y, test_x, test_y)


def shifted(x: Tensor, random: torch.Generator) -> Tensor:
    """Move a batch by up to one pixel each way, which stands in for more writers."""
    down, right = (int(torch.randint(0, 3, (), generator=random)) for _ in range(2))
    padded = nn.functional.pad(x, (1, 1, 1, 1))
    return padded[:, :, down : down + 8, right : right + 8]


def fit(model: nn.Module, split: Split, epochs: int, seed: int) -> None:
    """Run a fixed number of epochs; the test images choose nothing, not even when to stop."""
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
            scores = model(shifted(x[chosen], random))
            loss = nn.functional.cross_entropy(scores, y[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(chosen)
        print(f"epoch {epoch + 1:2}/{epochs}: loss {total / len(x):.4f}")
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
    """Write one self-contained ONNX file with a dynamic batch and portable source lines."""
    program = torch.onnx.export(
        model,
        (torch.zeros(2, 1, 8, 8),),
        input_names=["image"],
        output_names=["scores"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
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
    (scores,) = session.run(None, {"image": x})
    return float(np.mean(np.argmax(scores, axis=1) == y))


def save_data(split: Split, file: Path) -> None:
    """Write calibration inputs, which no test image may be among, and the labelled test set."""
    np.savez_compressed(
        file, calib=split.train_x[:CALIBRATION_IMAGES], x=split.test_x, y=split.test_y
    )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Train the digits example and export it.")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0, help="of the split, weights and batches")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the two files")
    args = parser.parse_args(argv)
    # The order of a threaded sum is not fixed, and these layers are too small to gain by threads.
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    split = load_split(args.seed)
    model = DigitsCnn()
    fit(model, split, args.epochs, args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    model_file = args.out / "digits_cnn.onnx"
    export(model, model_file)
    save_data(split, args.out / "digits.npz")
    for name, x, y in (
        ("training", split.train_x, split.train_y),
        ("test", split.test_x, split.test_y),
    ):
        print(f"{name}: {len(x)} images, {accuracy(model_file, x, y):.2%} right")


if __name__ == "__main__":
    main()
