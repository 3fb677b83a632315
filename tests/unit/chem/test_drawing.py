from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from fedmol.chem.drawing import svg
from fedmol.errors import Exit, FedmolError

NAMESPACE = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("smiles", ["C", "c1cc[nH]c1", "O=[N+]([O-])c1ccco1", "C[C@H](N)C(=O)O"])
def test_picture_is_one_svg_element_that_can_stand_in_html(smiles: str) -> None:
    picture = svg(smiles, (120, 80))
    assert picture.startswith("<svg")
    root = ElementTree.fromstring(picture)
    assert root.tag == f"{NAMESPACE}svg"
    assert (root.get("width"), root.get("height")) == ("120", "80")
    assert root.findall(f"{NAMESPACE}path")


@pytest.mark.parametrize("smiles", ["", "nonsense"])
def test_what_is_no_molecule_is_refused(smiles: str) -> None:
    with pytest.raises(FedmolError, match="cannot be drawn") as caught:
        svg(smiles)
    assert caught.value.exit is Exit.BAD_DATA
