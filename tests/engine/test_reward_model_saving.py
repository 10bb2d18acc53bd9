"""What was trained as a reward model is one to everybody else too: transformers, peft, and Palate itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AutoPeftModelForSequenceClassification
from tiny_folder import save_tiny
from tiny_models import awaken_adapter, tiny_branches
from torch import Tensor
from transformers import AutoModelForSequenceClassification

from palate.engine import Branch, Policy, branch_scores, load_policy, load_trained, prove_scores
from palate.engine.restoring import restore_weights
from palate.errors import ModelError
from palate.recipe import ExistingAdapterOptions, LoraOptions, ModelOptions

FAMILIES = ["llama", "qwen2"]
LORA, BRANCHES = LoraOptions(rank=4), tiny_branches("forest")


@pytest.fixture(scope="module", params=FAMILIES)
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("base"))


def load(folder: Path, seed: int = 0, **options: Any) -> Policy:
    wanted = ModelOptions(base=str(folder), **({"device": "cpu", "adapter": LORA} | options))
    return load_policy(wanted, head="scores", seed=seed)


def moved(policy: Policy) -> Policy:
    """As training leaves it: nothing where it started."""
    awaken_adapter(policy.model)
    generator = torch.Generator().manual_seed(5)
    for parameter in policy.trainable_parameters():
        parameter.data.add_(torch.randn(parameter.shape, generator=generator) * 0.02)
    return policy


def scores(policy: Policy) -> Tensor:
    with policy.evaluating():
        return branch_scores(policy, BRANCHES).scores_B


def their_scores(model: Any, branches: Sequence[Branch]) -> Tensor:
    with torch.no_grad():
        rows = [model(input_ids=torch.from_numpy(b.token_ids)[None]).logits for b in branches]
    return torch.cat(rows)[:, 0]


def edit_json(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_an_adapter_is_loaded_by_transformers_and_by_peft(base: Path, tmp_path: Path) -> None:
    policy = moved(load(base))
    policy.save_weights(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    for kind in (AutoModelForSequenceClassification, AutoPeftModelForSequenceClassification):
        theirs = kind.from_pretrained(tmp_path, num_labels=1).eval()
        assert (their_scores(theirs, BRANCHES) - scores(policy)).abs().max() <= 1e-5


def test_without_the_number_of_labels_an_adapter_is_refused_and_not_misread(
    llama: Path, tmp_path: Path
) -> None:
    """Its folder cannot say it: transformers reads the config of the base."""
    load(llama).save_weights(tmp_path)
    for kind in (AutoModelForSequenceClassification, AutoPeftModelForSequenceClassification):
        with pytest.raises(RuntimeError, match="mismatch"):
            kind.from_pretrained(tmp_path)


def test_a_whole_model_is_loaded_by_name_alone(base: Path, tmp_path: Path) -> None:
    policy = moved(load(base, adapter=None))
    policy.save_weights(tmp_path)
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert theirs.config.num_labels == 1 and theirs.config.problem_type == "regression"
    assert (their_scores(theirs, BRANCHES) - scores(policy)).abs().max() <= 1e-5


@pytest.mark.parametrize("adapter", [LORA, None], ids=["lora", "full"])
def test_palate_loads_what_it_saved(base: Path, tmp_path: Path, adapter: LoraOptions | None) -> None:
    policy = moved(load(base, adapter=adapter))
    policy.save_weights(tmp_path)
    trained = load_trained(str(tmp_path), ModelOptions(device="cpu"), head="scores")
    assert torch.equal(scores(trained), scores(policy))
    assert not trained.model.training and trained.is_reward_model
    assert trained.stop_ids() == policy.stop_ids() == [policy.tokenizer.eos_token_id]
    assert prove_scores(trained, BRANCHES).layout == "tree"


def test_a_batch_of_texts_is_padded_as_the_model_expects(llama: Path, tmp_path: Path) -> None:
    """With the tokenizer saved beside it, and on either side."""
    policy = moved(load(llama, adapter=None))
    policy.save_weights(tmp_path)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    texts = ["a longer text than the other", "short"]
    one_by_one = [model(**tokenizer(text, return_tensors="pt")).logits[0, 0].item() for text in texts]
    for side in ("left", "right"):
        tokenizer.padding_side = side
        together = model(**tokenizer(texts, return_tensors="pt", padding=True)).logits[:, 0]
        torch.testing.assert_close(together, torch.tensor(one_by_one), rtol=0, atol=1e-4)


def test_a_fresh_score_head_is_drawn_by_the_seed_alone(llama: Path) -> None:
    def head(seed: int, **options: Any) -> Tensor:
        torch.seed()  # whatever else is drawn in this process
        policy = load(llama, seed, **options)
        return next(policy.score_head.parameters()).detach().clone()

    first = head(1)
    assert torch.equal(first, head(1)) and torch.equal(first, head(1, adapter=None))
    assert not torch.equal(first, head(2))
    assert first.shape == (1, 32) and first.dtype == torch.float32
    # initializer_range is 0.2 in these configs: 32 draws are within a third of it, four sigma.
    assert 0.1 < first.std() < 0.3


def test_a_base_that_is_a_reward_model_keeps_its_head(llama: Path, tmp_path: Path) -> None:
    first = moved(load(llama, adapter=None))
    first.save_weights(tmp_path)
    for seed in (0, 1):
        again = load(tmp_path, seed, adapter=LORA)
        assert torch.equal(scores(again), scores(first))
        assert any("score" in name and p.requires_grad for name, p in again.model.named_parameters())


def test_a_classifier_of_several_labels_is_no_reward_model(llama: Path, tmp_path: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(llama, num_labels=3)
    model.save_pretrained(tmp_path)
    load(llama).tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="3 labels"):
        load(tmp_path)


@pytest.mark.parametrize("adapter", [LORA, None], ids=["lora", "full"])
def test_over_a_bf16_checkpoint(tmp_path: Path, adapter: LoraOptions | None) -> None:
    base = save_tiny(tmp_path / "base", dtype=torch.bfloat16)
    policy = load(base, adapter=adapter)
    assert {p.dtype for p in policy.trainable_parameters()} == {torch.float32}
    assert {p.dtype for p in policy.score_head.parameters()} == {torch.float32}
    assert policy.compute_dtype == torch.bfloat16
    assert prove_scores(moved(policy), BRANCHES).layout == "tree"
    folder = tmp_path / "trained"
    policy.save_weights(folder)
    trained = load_trained(str(folder), ModelOptions(device="cpu"), head="scores")
    assert (scores(trained) - scores(policy)).abs().max() < 0.1


def test_padding_is_never_what_ends_an_answer(tmp_path: Path) -> None:
    """transformers would read the score before it. What the config says, though, is the model's own rule."""
    base = save_tiny(tmp_path)
    own = load(base)
    assert own.text_config.pad_token_id == own.tokenizer.pad_token_id
    edit_json(base / "config.json", pad_token_id=None)
    assert load(base).text_config.pad_token_id == own.tokenizer.pad_token_id
    edit_json(base / "tokenizer_config.json", pad_token=own.tokenizer.eos_token)
    chosen = load(base)
    assert chosen.text_config.pad_token_id != own.tokenizer.eos_token_id
    assert chosen.text_config.pad_token_id == chosen.tokenizer.pad_token_id == chosen.pad_token_id
    edit_json(base / "config.json", pad_token_id=own.tokenizer.eos_token_id)
    assert load(base).text_config.pad_token_id == own.tokenizer.eos_token_id


def test_language_models_and_reward_models_are_told_apart(llama: Path, tmp_path: Path) -> None:
    here = ModelOptions(device="cpu")
    with pytest.raises(ModelError, match="no score head"):
        load_trained(str(llama), here, head="scores")
    folders = {name: tmp_path / name for name in ("lm", "reward", "whole")}
    load_policy(ModelOptions(base=str(llama), device="cpu")).save_weights(folders["lm"])
    load(llama).save_weights(folders["reward"])
    load(llama, adapter=None).save_weights(folders["whole"])
    with pytest.raises(ModelError, match="language model"):
        load_trained(str(folders["lm"]), here, head="scores")
    for name in ("reward", "whole"):
        with pytest.raises(ModelError, match="reward model"):
            load_trained(str(folders[name]), here)
    goes_on = ExistingAdapterOptions(type="existing", path=str(folders["lm"]))
    with pytest.raises(ModelError, match="language model"):
        load(llama, adapter=goes_on)


def test_an_adapter_is_trained_on_with_its_head(llama: Path, tmp_path: Path) -> None:
    first = moved(load(llama))
    first.save_weights(tmp_path)
    again = load(llama, adapter=ExistingAdapterOptions(type="existing", path=str(tmp_path)))
    assert torch.equal(scores(again), scores(first))
    branch_scores(again, BRANCHES).scores_B.sum().backward()
    without = [n for n, p in again.model.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []
    assert any("score" in n for n, p in again.model.named_parameters() if p.grad is not None)


@pytest.mark.parametrize("adapter", [LORA, None], ids=["lora", "full"])
def test_training_is_taken_up_where_it_was(llama: Path, tmp_path: Path, adapter: LoraOptions | None) -> None:
    stopped = moved(load(llama, adapter=adapter))
    stopped.save_weights(tmp_path)
    resumed = load(llama, adapter=adapter)
    assert not torch.equal(scores(resumed), scores(stopped))
    restore_weights(resumed, tmp_path)
    assert torch.equal(scores(resumed), scores(stopped))
    assert len(resumed.trainable_parameters()) == len(stopped.trainable_parameters())


def test_a_score_head_needs_no_naming(llama: Path) -> None:
    with pytest.raises(ModelError, match="does not fit") as caught:
        load(llama, adapter=LoraOptions(modules_to_save=["score"]))
    assert "trained whole in any case" in caught.value.why
    with pytest.raises(ModelError, match="does not fit") as caught:
        load(llama, adapter=LoraOptions(modules_to_save=["lm_head"]))
    assert "no module is called that" in caught.value.why
    both = load(llama, adapter=LoraOptions(rank=2, modules_to_save=["embed_tokens"]))
    assert sum(".modules_to_save." in name for name, _ in both.model.named_parameters()) == 2


def test_a_family_without_sequence_classification_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no reward model of this family") as caught:
        load(save_tiny(tmp_path, "granite"))
    assert "granite" in caught.value.why


def test_an_lm_adapter_is_saved_as_before(llama: Path, tmp_path: Path) -> None:
    """save_weights serves both kinds."""
    from palate.engine import branch_logps

    options = ModelOptions(base=str(llama), device="cpu")
    for adapter in (LORA, None):
        policy = moved(load_policy(options.model_copy(update={"adapter": adapter})))
        folder = tmp_path / ("full" if adapter is None else "lora")
        policy.save_weights(folder)
        trained = load_trained(str(folder), ModelOptions(device="cpu"))
        with policy.evaluating(), trained.evaluating():
            ours, again = (branch_logps(p, BRANCHES).per_token_logps_S for p in (policy, trained))
        assert torch.equal(ours, again)
