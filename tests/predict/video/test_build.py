import pytest

from sam2nb import build_sam2_video_predictor
from sam2nb.predict.video import build as module

SMALL = "++model.image_size=64"


def test_official_options_of_the_predictor_are_taken():
    predictor = build_sam2_video_predictor(
        "configs/sam2.1/sam2.1_hiera_t.yaml",
        device="cpu",
        hydra_overrides_extra=[
            SMALL,
            "++model.fill_hole_area=3",
            "++model.non_overlap_masks=true",
            "++model.add_all_frames_to_correct_as_cond=true",
        ],
    )
    assert (predictor.fill_hole_area, predictor.non_overlap_masks, predictor.binarize_prompted) == (3, True, True)
    assert predictor.image_size == 64 and predictor.device.type == "cpu"


def test_without_postprocessing_nothing_is_cleaned_or_taken_as_certain():
    plain = build_sam2_video_predictor(
        "sam2_hiera_t", device="cpu", apply_postprocessing=False, hydra_overrides_extra=[SMALL]
    )
    assert (plain.fill_hole_area, plain.binarize_prompted, plain.model.stable_single_mask) == (0, False, False)


def test_an_override_wins_over_the_postprocessing():
    predictor = build_sam2_video_predictor(
        "sam2_hiera_t",
        device="cpu",
        hydra_overrides_extra=[SMALL, "model.binarize_mask_from_pts_for_mem_enc=False", "+model.fill_hole_area=0"],
    )
    assert (predictor.fill_hole_area, predictor.binarize_prompted) == (0, False)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("++model.fill_hole_area=many", "number of pixels"),
        ("++model.add_all_frames_to_correct_as_cond=false", "must be true"),
        ("++model.clear_non_cond_mem_around_input=true", "must be false"),
    ],
)
def test_a_value_that_an_option_cannot_have_is_refused(override, message):
    with pytest.raises(ValueError, match=message):
        build_sam2_video_predictor("sam2_hiera_t", device="cpu", hydra_overrides_extra=[override])


def test_vos_optimized_compiles_the_model_that_the_predictor_holds(monkeypatch):
    compiled = []
    monkeypatch.setattr(module, "compile_boxes", compiled.append)
    options = {"device": "cpu", "hydra_overrides_extra": [SMALL]}
    assert build_sam2_video_predictor("sam2.1_hiera_t", **options).model not in compiled and compiled == []
    predictor = build_sam2_video_predictor("sam2.1_hiera_t", vos_optimized=True, **options)
    assert compiled == [predictor.model]
