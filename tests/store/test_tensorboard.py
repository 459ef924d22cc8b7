"""TensorBoard's files, read back by TensorBoard's own reader."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata, plugin_data_pb2

from core.contract.spec.knob_table import KNOBS, list_defaults
from core.store.tensorboard_files import TensorBoardFiles


def read(folder, trial: int) -> EventAccumulator:
    found = EventAccumulator(str(folder / str(trial)))
    found.Reload()
    return found


def hparams(folder, trial: int, tag: str) -> plugin_data_pb2.HParamsPluginData:
    content = read(folder, trial).PluginTagToContent(metadata.PLUGIN_NAME)[tag]
    return metadata.parse_plugin_data(content) if hasattr(metadata, "parse_plugin_data") else _parsed(content)


def _parsed(content: bytes) -> plugin_data_pb2.HParamsPluginData:
    return plugin_data_pb2.HParamsPluginData.FromString(content)


@pytest.fixture
def boards(tmp_path):
    tensor_board_files = TensorBoardFiles(tmp_path, ["eval/loss"])
    tensor_board_files.begin(
        0, {**list_defaults(), "target_modules": ["q_proj", "v_proj"], "lora_rank": 8}, 10.0
    )
    return tensor_board_files


def test_every_scalar_stands_at_its_step_and_time(boards, tmp_path):
    for step in range(1, 4):
        boards.write_scalars(0, step, {"train/loss": 1.0 / step, "train/grad_norm": 2.0}, 10.0 + step)
    boards.close()
    scalars = read(tmp_path, 0).Scalars("train/loss")
    assert [(scalar.step, scalar.wall_time) for scalar in scalars] == [(1, 11.0), (2, 12.0), (3, 13.0)]
    assert scalars[2].value == pytest.approx(1 / 3)
    assert "train/grad_norm" in read(tmp_path, 0).Tags()["scalars"]


def test_all_knobs_stand_in_every_trial(boards, tmp_path):
    boards.begin(1, {"lora_rank": 4}, 11.0)
    boards.close()
    for trial in (0, 1):
        told = hparams(tmp_path, trial, metadata.SESSION_START_INFO_TAG).session_start_info.hparams
        assert set(told) == set(KNOBS)
        experiment = hparams(tmp_path, trial, metadata.EXPERIMENT_TAG).experiment
        assert {hparam_info.name for hparam_info in experiment.hparam_infos} == set(KNOBS)
    first = hparams(tmp_path, 0, metadata.SESSION_START_INFO_TAG).session_start_info.hparams
    assert first["lora_rank"].number_value == 8
    assert first["target_modules"].string_value == '["q_proj", "v_proj"]'


def test_the_end_is_told(boards, tmp_path):
    boards.end(0, "failed", {}, 20.0)
    told = hparams(tmp_path, 0, metadata.SESSION_END_INFO_TAG).session_end_info
    assert told.end_time_secs == 20.0 and told.status != 0


def test_after_a_restart_no_step_stands_twice(boards, tmp_path):
    for step in range(1, 6):
        boards.write_scalars(0, step, {"train/loss": 1.0}, 10.0)
    boards.close()
    again = TensorBoardFiles(tmp_path, ["eval/loss"])
    assert not again.take_up(0, {}, 10.0)
    for step in range(3, 8):
        again.write_scalars(0, step, {"train/loss": 1.0}, 20.0)
    again.end(0, "complete", {}, 30.0)
    assert [one.step for one in read(tmp_path, 0).Scalars("train/loss")] == [1, 2, 3, 4, 5, 6, 7]
    assert TensorBoardFiles(tmp_path, ["eval/loss"]).take_up(0, {}, 10.0)


def test_a_file_cut_off_in_mid_record_is_gone_on_with(boards, tmp_path):
    for step in range(1, 4):
        boards.write_scalars(0, step, {"train/loss": 1.0}, 10.0)
    boards.close()
    (file,) = (tmp_path / "0").iterdir()
    file.write_bytes(file.read_bytes()[:-9])
    again = TensorBoardFiles(tmp_path, ["eval/loss"])
    again.take_up(0, {}, 10.0)
    for step in range(1, 5):
        again.write_scalars(0, step, {"train/loss": 1.0}, 20.0)
    again.close()
    assert [one.step for one in read(tmp_path, 0).Scalars("train/loss")] == [1, 2, 3, 4]


def test_a_trial_whose_beginning_was_lost_gets_its_knobs(tmp_path):
    again = TensorBoardFiles(tmp_path, ["eval/loss"])
    again.take_up(0, {"lora_rank": 8}, 10.0)
    again.close()
    told = hparams(tmp_path, 0, metadata.SESSION_START_INFO_TAG).session_start_info.hparams
    assert told["lora_rank"].number_value == 8 and set(told) == set(KNOBS)
