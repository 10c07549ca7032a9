"""Networks from what a search wrote: built, with weights if there are any, and as ONNX.

Example:
    >>> network = create_network("runs/…/best.json")  # doctest: +SKIP
    >>> network = create_network("runs/…/best.json", classes=100, dropout=0.2)  # doctest: +SKIP
    >>> trained = create_network("runs/…/network.safetensors")  # doctest: +SKIP
    >>> export_onnx(trained, "network.onnx", side=32)  # doctest: +SKIP
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nasp_lightning.error import NaspError
from nasp_lightning.network.build import build_network, build_space, options_of
from nasp_lightning.network.store import architecture_of, load_network, read_manifest
from nasp_lightning.storage import atomic_path

Config = dict[str, Any]

NEEDED = ("space", "network", "operations", "adjacency")  # to build the network
ARCHITECTURE = ("space", "operations", "adjacency")  # to know which one it is
TOLERANCE = 1e-4  # between the logits of a module and of its ONNX file
OPSET = 18


def create_network(
    source: str | Path | Mapping[str, object],
    checkpoint: str | Path | None = None,
    **overrides: object,
) -> nn.Module:
    """The network of an architecture, in eval mode; as ``timm.create_model`` makes those of names.

    Args:
        source: ``best.json`` of ``job=search_network``, its content, or a trained
            ``network.safetensors``.
        checkpoint: ``network.safetensors`` whose weights it gets; None: fresh ones, or those of
            ``source``.
        overrides: options of the network in place of the file's, such as ``classes=100``.

    Raises:
        NaspError: if a file is absent, damaged or of a supernet, an option cannot be, or the
            weights are of another architecture or do not fit the options.
    """
    if not isinstance(source, Mapping) and str(source).endswith(".safetensors"):
        described, checkpoint = _trained(source), checkpoint or source
    else:
        described = read_architecture(source)
    space = None if described["space"] is None else build_space(described["space"])
    settings = {
        "_target_": described["network"]["_target_"],
        **{
            name: item for name, item in options_of(described["network"]).items() if name != "space"
        },
        **overrides,
    }
    network = build_network(settings, space, architecture_of(described))
    if checkpoint is not None:
        _load(network, described, Path(checkpoint))
    return network.eval()


def read_architecture(
    source: str | Path | Mapping[str, object], needed: Sequence[str] = NEEDED
) -> Config:
    """What ``best.json`` says; :func:`~.store.architecture_of` makes its architecture of it.

    Args:
        source: the file, or its content.
        needed: what it must say.

    Raises:
        NaspError: if there is no such file, or it says too little.
    """
    told = "the file" if isinstance(source, Mapping) else str(source)
    content: object = source
    if not isinstance(source, Mapping):
        try:
            content = json.loads(Path(source).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise NaspError(
                f"{source} cannot be read ({error}): give the best.json of job=search_network"
            ) from error
    if not isinstance(content, Mapping) or any(name not in content for name in needed):
        raise NaspError(
            f"{told} is no architecture: it needs {', '.join(needed)}, as the best.json of "
            "job=search_network has them"
        )
    return dict(content)


def _trained(path: str | Path) -> Config:
    manifest = read_manifest(path)
    if manifest["kind"] != "network":
        raise NaspError(
            f"{path} holds a {manifest['kind']}: give the file of a trained network, or an "
            "architecture"
        )
    network = {**manifest["network"], "classes": manifest["data"]["classes"]}
    return {**manifest, "network": network}


def _load(network: nn.Module, described: Config, path: Path) -> None:
    trained, manifest = load_network(path, kind="network")
    for name in ("operations", "adjacency"):
        if manifest[name] != described[name]:
            raise NaspError(
                f"{path} holds the weights of another architecture "
                f"({manifest.get('text') or 'see its manifest'}): choose the checkpoint of this one"
            )
    try:
        network.load_state_dict(trained.state_dict())
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise NaspError(
            f"{path}: its weights do not fit the network with these options ({reason}): leave the "
            "overrides out, or train anew"
        ) from error


def export_onnx(
    network: nn.Module,
    path: str | Path,
    side: int,
    opset: int = OPSET,
    tolerance: float = TOLERANCE,
) -> float:
    """Write a network as ONNX, with batches of any size, and check it against the module.

    Args:
        network: on the CPU; exported as it evaluates.
        path: such as ``network.onnx``.
        side: height and width of its images in pixels.
        opset: of ONNX.
        tolerance: largest difference of a logit that is accepted.

    Returns:
        The largest difference of a logit, on random images in batches of one and three.

    Raises:
        NaspError: if onnx or onnxruntime is absent, the file cannot be written, or it gives other
            logits; then nothing is left at ``path``.
    """
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise NaspError(
            f"the export needs {error.name}: pip install 'nasp-lightning[onnx]'"
        ) from error
    network.eval()
    generator = torch.Generator().manual_seed(0)
    batches = [torch.randn(count, 3, side, side, generator=generator) for count in (1, 3)]
    with atomic_path(Path(path)) as temporary:
        content = _onnx_program(network, batches[1], opset)
        onnx.checker.check_model(content)
        temporary.write_bytes(content)
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

        def run(images: Tensor) -> Tensor:
            (found,) = session.run(None, {"images": images.numpy()})
            return torch.from_numpy(found)

        largest = _difference(network, run, batches)
        if not largest <= tolerance:
            raise NaspError(
                f"{path}: the ONNX file's logits differ from the module's by {largest:.2g}, more "
                f"than {tolerance:.2g}: it was not kept"
            )
    return largest


def _difference(
    network: nn.Module, other: Callable[[Tensor], Tensor], batches: Sequence[Tensor]
) -> float:
    """The largest difference of a logit between a module and another form of it."""
    with torch.no_grad():
        return max(float((other(images) - network(images)).abs().max()) for images in batches)


def _onnx_program(network: nn.Module, images: Tensor, opset: int) -> bytes:
    """A module as the content of an ONNX file, traced with images ``[B, 3, S, S]``, B free."""
    program = torch.onnx.export(
        network,
        (images,),
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        opset_version=opset,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    content: bytes = program.model_proto.SerializeToString()
    return content
