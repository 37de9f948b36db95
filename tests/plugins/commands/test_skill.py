"""`aios skill`, as a user meets it."""

import json
import shutil

import pytest
import torch
from safetensors.torch import save_file


@pytest.fixture(autouse=True)
def run(aios, tmp_path, tiny_run):
    shutil.copytree(tiny_run, tmp_path / "run")


def test_a_skill_is_taken_in_used_handed_out_and_revoked(aios, tmp_path):
    """Fault E6: what goes forward is `use`, and no rolling back."""
    (tmp_path / "adapter").mkdir()
    key = "base_model.model.backbone.blocks.0.attention.out"
    tensors = {f"{key}.lora_A.weight": torch.ones(2, 32), f"{key}.lora_B.weight": torch.ones(32, 2)}
    save_file(tensors, tmp_path / "adapter" / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["0.attention.out"]}
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(config))

    skill = aios("skill", "import", "run", "adapter", "--name", "Milk").split()[0]
    (card,) = json.loads(aios("skill", "ls", "run", "--json"))
    assert card["skill_id"].startswith(skill)
    assert "# milk" in aios("skill", "show", "run", skill)
    assert "HEAD" not in aios("skill", "ls", "run")
    assert skill in aios("evolve", "use", "run", "milk"), "by its name"
    assert skill in aios("evolve", "status", "run"), "what no gate has judged has no scores"
    assert "HEAD" in aios("skill", "ls", "run", "--like", "milk")
    assert "HEAD" in aios("skill", "ls", "run", "--like", "milk", "--store", "numpy:index")
    both = aios("skill", "merge", "run", f"{skill}=0.5", "--name", "half").split()[0]
    assert "Merged: 0.5 milk" in aios("skill", "show", "run", both)
    for weight in ("half", "nan", "inf"):
        output = aios("skill", "merge", "run", f"{skill}={weight}", code=2)
        assert f"expected a finite number as the weight, got '{weight}'" in output
    output = aios("skill", "merge", "run", f"{skill}=0.7", "milk=0.3", code=2)
    assert "expected each skill once" in output
    assert "HEAD names it" in aios("skill", "delete", "run", "HEAD", code=2)
    output = aios("skill", "import", "run", "adapter", "--name", "Cocoa")
    assert f"{skill}: these weights are there already, and keep the name milk; `aios" in output
    output = aios("skill", "merge", "run", f"{skill}=0.5", "--name", "again")
    assert f"{both}: these weights are there already, and keep the name half; `aios" in output
    assert "deleted" in aios("skill", "delete", "run", "half")
    assert 1 == len(json.loads(aios("skill", "ls", "run", "--json")))
    aios("skill", "export", "run", skill, "out")
    assert (tmp_path / "out" / "README.md").read_text().startswith("---\nbase_model: aios-")
    assert "there already" in aios("skill", "export", "run", skill, "out", code=2)
    assert "HEAD: base" in aios("skill", "revoke", "run", skill, "--reason", "sour")
    assert "revoked" in aios("skill", "ls", "run")
    assert "was revoked" in aios("evolve", "rollback", "run", skill, code=2)
    assert "as they were written" in aios("evolve", "verify", "run")


@pytest.mark.parametrize("alpha", ["NaN", "Infinity", f"1{'0' * 400}", "true", "-8", "0"])
def test_an_alpha_that_is_no_scale_is_told_with_its_file(aios, tmp_path, alpha):
    """Faults T4 and T5: file and key, and the journal stays as it was."""
    (tmp_path / "adapter").mkdir()
    key = "base_model.model.backbone.blocks.0.attention.out"
    tensors = {f"{key}.lora_A.weight": torch.ones(2, 32), f"{key}.lora_B.weight": torch.ones(32, 2)}
    save_file(tensors, tmp_path / "adapter" / "adapter_model.safetensors")
    config = f'{{"peft_type": "LORA", "r": 2, "lora_alpha": {alpha}}}'
    (tmp_path / "adapter" / "adapter_config.json").write_text(config)

    output = aios("skill", "import", "run", "adapter", code=2)
    assert "adapter_config.json: " in output
    assert "lora_alpha" in output
    assert "as they were written" in aios("evolve", "verify", "run")


def test_mistakes_are_told(aios, tmp_path):
    assert "is not a folder" in aios("skill", "import", "run", "nowhere", code=2)
    (tmp_path / "empty").mkdir()
    assert "adapter_config.json: is missing" in aios("skill", "import", "run", "empty", code=2)
    assert "expected --like as well" in aios("skill", "ls", "run", "--store", "x", code=2)
    assert "base is not a skill" in aios("skill", "show", "run", "base", code=2)
    for words in (["skill", "delete", "run"], ["skill", "merge", "run"], ["evolve", "use", "run"]):
        assert "expected the id of a skill, got ''" in aios(*words, "", code=2)
    assert "no version begins" in aios("skill", "revoke", "run", "abc", code=2)
