"""The encoder against PyTorch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nasp_lightning.predictor.part.transformer import EncoderLayer, TransformerEncoder


def reference(layer: EncoderLayer, dim: int, heads: int, inner: int) -> nn.Module:
    """torch's post-LN layer with the same weights (heads of dim/heads, zero biases)."""
    other = nn.TransformerEncoderLayer(
        dim, heads, inner, dropout=0.0, layer_norm_eps=1e-6, batch_first=True
    )
    with torch.no_grad():
        other.self_attn.in_proj_weight.copy_(layer.qkv.weight)
        other.self_attn.in_proj_bias.zero_()
        other.self_attn.out_proj.weight.copy_(layer.output.weight)
        other.self_attn.out_proj.bias.zero_()
        for mine, theirs in (
            (layer.widen, other.linear1),
            (layer.narrow, other.linear2),
            (layer.attention_norm, other.norm1),
            (layer.feedforward_norm, other.norm2),
        ):
            theirs.load_state_dict(mine.state_dict())
    return other


@pytest.mark.parametrize("training", [False, True])
def test_layer_equals_torchs(training: bool) -> None:
    torch.manual_seed(0)
    layer = EncoderLayer(16, 2, 8, 32, dropout=0.0).train(training)
    other = reference(layer, 16, 2, 32).train(training)
    tokens = torch.randn(3, 5, 16)
    torch.testing.assert_close(layer(tokens), other(tokens), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_hidden_tokens_equal_torchs_padding_mask(training: bool) -> None:
    torch.manual_seed(0)
    encoder = TransformerEncoder(1, 16, 2, 8, 32, dropout=0.0).train(training)
    other = reference(encoder.stack()[0], 16, 2, 32).train(training)
    tokens = torch.randn(3, 5, 16)
    real = torch.arange(5) < torch.tensor([[5], [3], [2]])
    found = encoder(tokens, real)
    expected = other(tokens, src_key_padding_mask=~real)
    torch.testing.assert_close(found[real], expected[real], atol=1e-5, rtol=1e-5)


def test_gradients_equal_torchs() -> None:
    torch.manual_seed(0)
    layer = EncoderLayer(16, 2, 8, 32, dropout=0.0)
    other = reference(layer, 16, 2, 32)
    mine = torch.randn(3, 5, 16, requires_grad=True)
    theirs = mine.detach().clone().requires_grad_()
    weight = torch.randn(3, 5, 16)
    (layer(mine) * weight).sum().backward()
    (other(theirs) * weight).sum().backward()
    torch.testing.assert_close(mine.grad, theirs.grad, atol=1e-4, rtol=1e-4)
    for name, expected in (
        ("qkv.weight", other.self_attn.in_proj_weight.grad),
        ("output.weight", other.self_attn.out_proj.weight.grad),
        ("widen.weight", other.linear1.weight.grad),
        ("widen.bias", other.linear1.bias.grad),
        ("narrow.weight", other.linear2.weight.grad),
        ("narrow.bias", other.linear2.bias.grad),
    ):
        torch.testing.assert_close(
            layer.get_parameter(name).grad, expected, atol=1e-4, rtol=1e-4, msg=name
        )


def test_training_and_evaluation_agree_without_dropout() -> None:
    torch.manual_seed(0)
    encoder = TransformerEncoder(2, 24, 4, 8, 48, dropout=0.0)
    tokens = torch.randn(4, 7, 24)
    trained = encoder.train()(tokens)
    torch.testing.assert_close(trained, encoder.eval()(tokens), atol=1e-5, rtol=1e-5)


def test_dropout_acts_in_training_only() -> None:
    torch.manual_seed(0)
    encoder = TransformerEncoder(1, 16, 2, 8, 32, dropout=0.5)
    tokens = torch.randn(2, 5, 16)
    assert not torch.equal(encoder.train()(tokens), encoder(tokens))
    encoder.eval()
    assert torch.equal(encoder(tokens), encoder(tokens))


def test_projections_have_no_bias() -> None:
    layer = EncoderLayer(80, 4, 64, 512, dropout=0.1)
    assert layer.qkv.bias is None
    assert layer.output.bias is None
    assert layer.qkv.weight.shape == (768, 80)
    assert layer.attention_norm.eps == 1e-6
