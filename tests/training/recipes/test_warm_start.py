import torch

from sam2nb.training.recipes.warm_start import Components, least_squares, warm_start_memory


def test_least_squares_finds_a_linear_map():
    torch.manual_seed(0)
    rows, weight, bias = torch.randn(200, 5), torch.randn(5, 3), torch.randn(3)
    solution = least_squares(rows, rows @ weight + bias, ridge=1e-9)
    torch.testing.assert_close(solution, torch.cat((weight, bias[None])), atol=1e-4, rtol=1e-4)


def test_encoded_components_decode_to_the_rows():
    torch.manual_seed(0)
    rows = torch.randn(300, 4) @ torch.randn(4, 12) + 3
    components = Components(rows, 4)
    code = (rows - components.mean) @ components.encode.T
    torch.testing.assert_close(code.std(0, correction=0), torch.ones(4), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(code @ components.decode.T + components.mean, rows, atol=1e-3, rtol=1e-3)


def test_a_warm_start_sets_the_memory_parts_and_leaves_the_image_path(small_model):
    model = small_model("eval")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch.manual_seed(0)
    masks = torch.zeros(12, 1, 64, 64)
    masks[:, :, 10:40, 20:50] = 1
    warm_start_memory(model, torch.randn(12, 3, 64, 64), masks)
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert any(name.startswith("memory_attention.layers.0.cross_attn_image.q_proj") for name in changed)
    assert not [name for name in changed if name.startswith(("image_encoder", "sam_prompt_encoder"))]
    assert all(torch.isfinite(tensor).all() for tensor in model.state_dict().values())
    token = torch.randn(2, 256)
    assert model.object_pointer(token, torch.ones(2, 1)).abs().max() == 0  # pointers start at zero
