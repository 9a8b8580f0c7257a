"""Published weights of networks: fetched as data are, checked before they are read, kept as safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from genfoundry.data import DataError, SourceError
from genfoundry.data.sources import contents, from_first
from genfoundry.data.unpickle import read_arrays
from genfoundry.files import sha256, write_json
from genfoundry.params import Source, Weights

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = Path("weights")
FILE = "weights.safetensors"


def fetch_weights(name: str, weights: Weights, target: Path) -> None:
    """Write `target` with `weights.safetensors`, its tensors named as they were published, and `about.json`.

    Raises:
        SourceError: no source gave the file that params.yaml pins. `target` is then not there.
    """
    from safetensors.numpy import save

    def fill(source: Source, folder: Path) -> str:
        with contents(source) as unpacked:
            arrays = read_arrays(pinned(unpacked, weights.sha256))
        (folder / FILE).write_bytes(save(arrays))
        counts = {"tensors": len(arrays), "numbers": sum(array.size for array in arrays.values())}
        about = {"name": name, "licence": weights.licence, "sha256": weights.sha256, **counts}
        write_json(folder / "about.json", about)
        return "content verified"

    from_first(name, weights.sources, target, fill)


def pinned(folder: Path, digest: str) -> bytes:
    """The content of that file below `folder` which has this SHA-256; no other is ever read as weights.

    Raises:
        SourceError: there is none.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    for path in files:
        content = path.read_bytes()
        if sha256(content) == digest:
            return content
    raise SourceError(f"none of its {len(files)} files has SHA-256 {digest}")


def read_weights(name: str, root: Path = FOLDER) -> dict[str, Tensor]:
    """The tensors of `weights/<name>/` on the CPU, by their published names.

    Raises:
        DataError: they were not fetched, or the file is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = root / name / FILE
    try:
        return load_file(path)
    except FileNotFoundError:
        raise DataError(f"{path} is not here; `dvc repro weights@{name}` fetches it") from None
    except SafetensorError as error:
        raise DataError(f"{path} is damaged ({error}); `dvc repro weights@{name}` fetches it again") from None
