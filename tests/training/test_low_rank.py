import torch
from torch import nn

from sam2nb.training.low_rank import add_low_rank_updates, merge_low_rank_updates


def test_updates_change_nothing_until_they_are_trained_and_merge_into_the_weights():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4))
    names, x = set(net.state_dict()), torch.randn(3, 8)
    before = net(x)
    add_low_rank_updates(net, 2)
    assert torch.equal(net(x), before)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if "low_rank" in name:
                parameter.add_(torch.randn_like(parameter))
    trained = net(x)
    assert not torch.allclose(trained, before)
    merge_low_rank_updates(net)
    assert set(net.state_dict()) == names
    assert torch.allclose(net(x), trained, atol=1e-6)
