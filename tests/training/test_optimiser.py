import pytest

from sam2nb.training.optimiser import make_optimiser, schedule, trained_parameters


def test_only_the_named_parts_learn_each_at_the_rate_of_its_longest_key(small_model):
    model = small_model()
    optimiser = make_optimiser(model, {"memory": 1e-3, "memory_encoder.out_proj": 1e-4}, 0.02)
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert learning
    assert all("memory" in name for name in learning)
    assert {group["peak"] for group in optimiser.param_groups} == {1e-3, 1e-4}


def test_a_rate_that_matches_no_parameter_is_an_error(small_model):
    with pytest.raises(ValueError, match="no parameter's name contains"):
        make_optimiser(small_model(), {"mask_decodr": 1e-3}, 0.02)


def test_the_schedule_warms_up_and_falls_to_a_hundredth():
    values = [schedule(step, 100, 10) for step in range(100)]
    assert values[0] == 0.1
    assert max(values) == values[9] == 1.0
    assert values[-1] < 0.012


def test_biases_norms_and_embeddings_are_not_decayed(small_model):
    optimiser = make_optimiser(small_model(), {"": 1e-3}, 0.02)
    decayed = {id(p) for group in optimiser.param_groups if group["weight_decay"] for p in group["params"]}
    names = {name for name, parameter in small_model().named_parameters() if parameter.ndim < 2 or "embed" in name}
    assert len(decayed) + len(names) == len(trained_parameters(optimiser))
