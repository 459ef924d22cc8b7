"""A bundle is there whole or not at all, takes nobody's folder, and is read only as it was written."""

import errno
import json
import zipfile

import pytest

from core.errors import TrimtabError
from core.store.bundle import bundle_hash_manifest


def fill(folder):
    (folder / "curves").mkdir()
    (folder / "curves" / "loss.svg").write_text("<svg/>")
    (folder / "README.md").write_text("hello")
    return {"study": "s", "trial": 3}


def full(folder):
    fill(folder)
    raise OSError(errno.ENOSPC, "No space left on device")


def names(folder):
    return sorted(one.name for one in folder.iterdir())


def test_what_was_sealed_is_read_and_what_was_changed_is_named(tmp_path):
    made = bundle_hash_manifest.make_manifest(tmp_path / "b", fill, force=False, zipped=False)
    assert bundle_hash_manifest.check(made)["trial"] == 3 and names(tmp_path) == ["b"]
    (made / "README.md").write_text("hello!")
    with pytest.raises(bundle_hash_manifest.BundleError, match=r"files changed since the export: README\.md"):
        bundle_hash_manifest.check(made)
    (made / "README.md").unlink()
    with pytest.raises(bundle_hash_manifest.BundleError, match=r"README\.md"):
        bundle_hash_manifest.check(made)


def test_a_link_in_place_of_a_file_does_not_count(tmp_path):
    made = bundle_hash_manifest.make_manifest(tmp_path / "b", fill, force=False, zipped=False)
    (made / "README.md").rename(tmp_path / "elsewhere")
    (made / "README.md").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(bundle_hash_manifest.BundleError):
        bundle_hash_manifest.check(made)


@pytest.mark.parametrize("zipped", [False, True])
def test_a_disk_that_gets_full_leaves_what_was_there(tmp_path, zipped):
    made = bundle_hash_manifest.make_manifest(tmp_path / "b", fill, force=False, zipped=zipped)
    before = made.read_bytes() if zipped else (made / bundle_hash_manifest.MANIFEST).read_bytes()
    with pytest.raises(TrimtabError, match="No space left on device"):
        bundle_hash_manifest.make_manifest(tmp_path / "b", full, force=False, zipped=zipped)
    assert names(tmp_path) == [made.name]
    assert before == (made.read_bytes() if zipped else (made / bundle_hash_manifest.MANIFEST).read_bytes())


def test_an_older_bundle_is_replaced_and_a_strange_folder_is_not(tmp_path):
    bundle_hash_manifest.make_manifest(tmp_path / "b", fill, force=False, zipped=False)
    bundle_hash_manifest.make_manifest(tmp_path / "b", fill, force=False, zipped=False)
    assert names(tmp_path) == ["b"]
    (tmp_path / "b" / "thesis.tex").write_text("years of work")
    with pytest.raises(TrimtabError, match="is not a trimtab bundle"):
        bundle_hash_manifest.make_manifest(tmp_path / "b", fill, force=False, zipped=False)
    bundle_hash_manifest.make_manifest(tmp_path / "b", fill, force=True, zipped=False)
    assert names(tmp_path) == ["b", "b.before-1"]
    assert (tmp_path / "b.before-1" / "thesis.tex").read_text() == "years of work"


def test_a_zip_is_one_folder_that_opens_again(tmp_path):
    made = bundle_hash_manifest.make_manifest(tmp_path / "b", fill, force=False, zipped=True)
    assert names(tmp_path) == ["b.zip"]
    with bundle_hash_manifest.open_bundle(made, tmp_path / "scratch") as folder:
        assert folder.name == "b" and bundle_hash_manifest.check(folder)["study"] == "s"
    bundle_hash_manifest.make_manifest(tmp_path / "b", fill, force=False, zipped=True)


def test_a_zip_that_leads_out_of_its_folder_is_refused(tmp_path):
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("../../evil", "x")
    with (
        pytest.raises(bundle_hash_manifest.BundleError, match="leads out"),
        bundle_hash_manifest.open_bundle(path, tmp_path / "scratch"),
    ):
        pass
    assert names(tmp_path) == ["evil.zip"]


@pytest.mark.parametrize("manifest", [None, "", "[]", '{"format": "other", "files": {}}'])
def test_what_is_no_bundle_is_said(tmp_path, manifest):
    (tmp_path / "b").mkdir()
    if manifest is not None:
        (tmp_path / "b" / bundle_hash_manifest.MANIFEST).write_text(manifest)
    with pytest.raises(bundle_hash_manifest.BundleError, match="this is not a bundle"):
        bundle_hash_manifest.check(tmp_path / "b")
    with (
        pytest.raises(bundle_hash_manifest.BundleError, match="folder or zip"),
        bundle_hash_manifest.open_bundle(tmp_path / "none", tmp_path),
    ):
        pass


def test_a_manifest_may_not_name_files_elsewhere(tmp_path):
    (tmp_path / "b").mkdir()
    told = {"format": bundle_hash_manifest.FORMAT, "files": {"../secret": {"sha256": "0", "bytes": 1}}}
    (tmp_path / "b" / bundle_hash_manifest.MANIFEST).write_text(json.dumps(told))
    with pytest.raises(bundle_hash_manifest.BundleError, match="this is not a bundle"):
        bundle_hash_manifest.check(tmp_path / "b")
