from __future__ import annotations

import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.space.darts_genotype import OPERATIONS, Genotype, parse
from tests.space.genotypes import PC_DARTS, PINAT, PUBLISHED, V2

TEXTS = [text for text, _, _ in PUBLISHED.values()] + [PINAT]


def test_the_text_is_read() -> None:
    genotype = parse(V2)
    assert genotype.normal[0] == ("sep_conv_3x3", 0)
    assert genotype.normal[-1] == ("dil_conv_3x3", 2)
    assert genotype.reduce[-1] == ("max_pool_3x3", 1)


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_written_is_read(text: str) -> None:
    genotype = parse(text)
    assert parse(str(genotype)) == genotype
    assert str(genotype).startswith("Genotype(normal=[('")
    assert str(genotype).endswith("reduce_concat=range(2, 6))")


def test_spacing_quotes_order_and_concatenation_are_free() -> None:
    plain = parse(PC_DARTS)
    cells = PC_DARTS.removeprefix("Genotype(").removesuffix(")")
    normal, reduce = cells.split(", normal_concat=range(2, 6), ")
    reduce = reduce.removesuffix(", reduce_concat=range(2, 6)")
    for text in (
        f"Genotype({reduce},\n  {normal})".replace("'", '"'),
        f" Genotype({normal}, {reduce}, reduce_concat=(2, 3, 4, 5)) \n",
        PC_DARTS.replace(" ", ""),
    ):
        assert parse(text) == plain


def test_inputs_are_ordered() -> None:
    genotype = parse(PC_DARTS)
    assert genotype.normal[:2] == (("sep_conv_3x3", 1), ("skip_connect", 0))
    assert genotype.ordered().normal[:2] == (("skip_connect", 0), ("sep_conv_3x3", 1))
    assert genotype.ordered().ordered() == genotype.ordered()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("dil_conv_3x3', 2", "sep_conv_7x7', 2", "normal cell has the unknown operation 'sep_conv"),
        ("dil_conv_3x3', 2", "none', 2", "unknown operation 'none'; the space darts has: max_pool"),
        ("dil_conv_3x3', 2", "dil_conv_3x3', 5", "reads state 5 at edge 7.*node 5: .* 0 to 4"),
        ("dil_conv_3x3', 2", "dil_conv_3x3', -1", "reads state -1"),
        ("dil_conv_3x3', 2", "dil_conv_3x3', 0", "reads state 0 twice in node 5"),
        (", ('dil_conv_3x3', 2)", "", "normal cell has 7 edges; it needs 8"),
        ("normal=[", "normal=[('skip_connect', 0), ", "normal cell has 9 edges"),
        ("normal_concat=[2, 3, 4, 5]", "normal_concat=[4, 5]", r"normal_concat is \[4, 5\]"),
        ("normal_concat=[2, 3, 4, 5]", "normal_concat=range(2, 7)", r"is range\(2, 7\)"),
        ("reduce=[", "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ", "reduce cell has 10"),
    ],
)
def test_a_cell_of_another_space(old: str, new: str, message: str) -> None:
    assert old in V2
    with pytest.raises(NaspError, match=message):
        parse(V2.replace(old, new, 1))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "02012",
        "Genotype",
        "Genotype()",
        "Genotype(normal=[], normal=[], reduce=[])",
        "Genotype(1, 2)",
        "__import__('os').system('touch hacked')",
        V2.replace("Genotype", "exec"),
        V2.replace("'dil_conv_3x3', 2", "__import__('os'), 2"),
        V2.replace("'dil_conv_3x3', 2", "'dil_conv_3x3', True"),
        V2.replace("'dil_conv_3x3', 2", "'dil_conv_3x3', 2.0"),
        V2.replace("'dil_conv_3x3', 2", "'dil_conv_3x3', 10**9"),
        V2.replace("'dil_conv_3x3', 2", "'dil_conv_3x3', " + 50 * "9"),
        V2.replace("('dil_conv_3x3', 2)", "*[]"),
        V2.replace("normal_concat=[2, 3, 4, 5]", "normal_concat=open('x')"),
        V2.replace("normal=[", "other=1, normal=["),
        V2.replace("normal=[", "**{}, normal=["),
        V2 + "\nimport os",
        3900 * "(",
        1900 * "-" + "1",
        "Genotype(\0)",
        "Genotype(normal='" + 2000 * "9" + "', reduce='')",
    ],
    ids=range(22),
)
def test_hostile_or_broken_text(text: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        NaspError, match="is no genotype of the space darts: write it like"
    ) as raised:
        parse(text)
    assert len(str(raised.value)) < 350
    assert not list(tmp_path.iterdir())


def test_a_book_is_no_genotype() -> None:
    with pytest.raises(NaspError, match="a genotype of 1,000,000 characters"):
        parse(1_000_000 * "(")


def test_a_genotype_checks_itself() -> None:
    cell = tuple((OPERATIONS[0], state) for node in range(4) for state in (0, 1))
    assert Genotype(cell, cell)
    with pytest.raises(NaspError, match="reduce cell has 6 edges"):
        Genotype(cell, cell[:6])
