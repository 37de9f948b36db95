"""Hooks and kinds go together, and configurations follow from kinds."""

import attrs

from aios_core.config.schema import Config, config_class
from aios_core.hookspecs import hookspecs
from aios_core.kinds import KINDS, RESERVED


def test_there_is_a_hook_for_every_kind_and_one_for_kinds():
    specs = hookspecs(KINDS.values())
    hooks = {name: hook for name, hook in vars(specs).items() if name.startswith("aios_")}

    assert {*(kind.hook for kind in KINDS.values()), "aios_kinds"} == set(hooks)
    for kind in KINDS.values():
        assert kind.promise == hooks[kind.hook].__doc__


def test_names_of_settings_are_reserved():
    """Also those that a file may have beside the sections."""
    own = {attribute.name for attribute in attrs.fields(Config)}

    assert RESERVED == own | {"extends", "ablate", "lock", "memory"}  # which was a section


def test_a_configuration_has_a_section_for_each_kind():
    cls = config_class(tuple(KINDS.values()))
    sections = {
        attribute.name: attribute.metadata
        for attribute in attrs.fields(cls)
        if attribute.name not in RESERVED
    }

    assert [kind.section for kind in KINDS.values() if kind.section] == list(sections)
    assert all(KINDS[facts["kind"]].affects == facts["affects"] for facts in sections.values())
    assert cls is config_class(tuple(KINDS.values()))
