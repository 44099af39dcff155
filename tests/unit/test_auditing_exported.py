"""Encoders in ONNX files and programs of torch.export, as others write them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import invlearn
from invlearn.auditing.sources import open_encoder
from invlearn.errors import UserError
from tests.support.errors import naming

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

MATRIX = torch.arange(12.0).view(4, 3).cos()


def write(path: Path, *, inputs: tuple[str, ...] = ("x",), shape: tuple[object, ...] = ("n", 4), kind: str = "FLOAT"):
    """A model x @ MATRIX whose weights lie in a file of their own; further inputs are added to x."""
    helper, number = onnx.helper, getattr(onnx.TensorProto, kind)
    nodes = [helper.make_node("Add", ["x", name], [f"x+{name}"]) for name in inputs[1:]]
    nodes.append(helper.make_node("MatMul", [f"x+{inputs[1]}" if inputs[1:] else "x", "matrix"], ["z"]))
    matrix = onnx.numpy_helper.from_array(MATRIX.to(torch.float16 if kind == "FLOAT16" else torch.float32).numpy())
    matrix.name = "matrix"
    wanted = [helper.make_tensor_value_info(name, number, shape) for name in inputs]
    graph = helper.make_graph(nodes, "g", wanted, [helper.make_tensor_value_info("z", number, (shape[0], 3))], [matrix])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save_model(model, path, save_as_external_data=True, location=f"{path.name}.data", size_threshold=0)


@pytest.mark.parametrize("kind", ["FLOAT", "FLOAT16"])
def test_weights_beside_the_model_are_found_from_any_folder(kind: str, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    write(tmp_path / "x.onnx", kind=kind)
    monkeypatch.chdir(tmp_path / "elsewhere")
    opened = open_encoder(Path("..") / "x.onnx")
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    assert opened.dim == 4
    torch.testing.assert_close(opened.function(x).float(), x @ MATRIX, atol=1e-2, rtol=1e-2)


def test_weights_that_are_missing_are_named(tmp_path: Path) -> None:
    write(tmp_path / "x.onnx")
    (tmp_path / "x.onnx.data").unlink()
    with pytest.raises(UserError, match=naming(file=[tmp_path / "x.onnx", tmp_path / "x.onnx.data"])):
        open_encoder(tmp_path / "x.onnx")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shape": (4, 4)}, ["4", "dynamic", "batch"]),
        ({"inputs": ("x", "y")}, ["2", "x", "y"]),
        ({"shape": ("n", 1, 4)}, ["n", "1", "4"]),
    ],
)
def test_models_of_anything_but_samples_are_refused(options, words, tmp_path: Path) -> None:
    write(tmp_path / "x.onnx", **options)
    with pytest.raises(UserError, match=naming(file=tmp_path / "x.onnx", also=words)):
        open_encoder(tmp_path / "x.onnx")


def test_a_model_of_whole_numbers_is_refused(tmp_path: Path) -> None:
    helper, number = onnx.helper, onnx.TensorProto.INT64
    of_samples = [helper.make_tensor_value_info(name, number, ("n", 4)) for name in ("x", "z")]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["z"])], "g", of_samples[:1], of_samples[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "x.onnx")
    with pytest.raises(UserError, match=naming(file=tmp_path / "x.onnx", also=["int64"])):
        open_encoder(tmp_path / "x.onnx")


def test_a_wrong_number_of_features_is_told_with_their_names(tmp_path: Path) -> None:
    write(tmp_path / "x.onnx")
    values = torch.randn(40, 3, generator=torch.Generator().manual_seed(0)).tolist()
    rows = [f"e{row // 2},{','.join(map(str, three))},abc" for row, three in enumerate(values)]
    (tmp_path / "mine.csv").write_text("\n".join(["who,f0,f1,f2,f3", *rows]))
    expected = naming(file=tmp_path / "x.onnx", value=[4, 3], also=["f0", "f1", "f2"])
    with pytest.raises(UserError, match=expected) as error:
        invlearn.audit(tmp_path / "x.onnx", tmp_path / "mine.csv", entity="who")
    assert "f3" not in str(error.value)


class Product(torch.nn.Module):
    matrix: Tensor

    def __init__(self, dtype: torch.dtype):
        super().__init__()
        self.register_buffer("matrix", MATRIX.to(dtype))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.matrix


def export(path: Path, *, dtype: torch.dtype = torch.float32, is_dynamic: bool = True) -> None:
    shapes = ({0: torch.export.Dim("n")},) if is_dynamic else None
    program = torch.export.export(Product(dtype), (torch.zeros(4, 4, dtype=dtype),), dynamic_shapes=shapes)
    torch.export.save(program, path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_programs_take_samples_of_their_own_precision(dtype: torch.dtype, tmp_path: Path) -> None:
    export(tmp_path / "x.pt2", dtype=dtype)
    opened = open_encoder(tmp_path / "x.pt2", trust=["x.pt2"])
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert opened.dim == 4
    assert opened.function(x).dtype == dtype
    torch.testing.assert_close(opened.function(x), x.to(dtype) @ MATRIX.to(dtype))


def test_a_program_of_a_fixed_batch_is_refused(tmp_path: Path) -> None:
    export(tmp_path / "x.pt2", is_dynamic=False)
    with pytest.raises(UserError, match=naming(file=tmp_path / "x.pt2", also=["4", "dynamic"])):
        open_encoder(tmp_path / "x.pt2", trust=["x.pt2"])


def test_a_truncated_program_is_told_without_a_traceback(tmp_path: Path, caplog) -> None:
    export(tmp_path / "x.pt2")
    content = (tmp_path / "x.pt2").read_bytes()
    (tmp_path / "x.pt2").write_bytes(content[: len(content) // 2])
    caplog.clear()
    with pytest.raises(UserError, match=naming(file=tmp_path / "x.pt2")):
        open_encoder(tmp_path / "x.pt2", trust=["x.pt2"])
    assert not caplog.records
