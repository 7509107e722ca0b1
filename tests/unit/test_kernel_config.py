"""What the lab kernel is made of: its options, its key, and the changes to its source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.kernel.lab.build import configuration

if TYPE_CHECKING:
    from pathlib import Path

UM_KCONFIG = "config HZ\n\tint\n\tdefault 100\n\nconfig UML\n\tbool\n"

INTERRUPTS = "\tretval = __handle_irq_event_percpu(desc);\n\n\tadd_interrupt_randomness(desc->irq_data.irq);\n"

RANDOM = """\
	unsigned long entropy = random_get_entropy();
		longs = arch_get_random_seed_longs(&block.rdseed[i], ARRAY_SIZE(block.rdseed) - i);
		longs = arch_get_random_longs(&block.rdseed[i], ARRAY_SIZE(block.rdseed) - i);
		block.rdseed[i++] = random_get_entropy();
	case RNDZAPENTCNT:
	case RNDCLEARPOOL:
		/* No longer has any effect. */
		if (!capable(CAP_SYS_ADMIN))
			return -EPERM;
		return 0;
	case RNDRESEEDCRNG:
"""

#: Of User-Mode Linux's virtual time: what is changed, by file.
VIRTUAL_TIME = {
    "arch/um/include/linux/time-internal.h": "#define TIMER_MULTIPLIER 256\n",
    "arch/um/kernel/time.c": (
        "#include <linux/interrupt.h>\nstatic u64 timer_read(struct clocksource *cs)\n"
        "\t\tif (!irqs_disabled() && !in_interrupt() && !in_softirq() &&\n\t\t    !time_travel_ext_waiting)\n"
    ),
    "arch/um/kernel/skas/syscall.c": """\
#include <linux/ptrace.h>
	if (syscall >= 0 && syscall < __NR_syscalls) {
		if (IS_ERR_VALUE(ret) &&
""",
    "arch/um/kernel/exec.c": "#include <linux/ptrace.h>\n\tPT_REGS_IP(regs) = eip;\n",
}


def tree_with(tmp_path: Path, kconfig: str, dot_config: str = "") -> Path:
    """A kernel tree with the files that are read."""
    files = {
        "arch/um/Kconfig": kconfig,
        "kernel/irq/handle.c": INTERRUPTS,
        "drivers/char/random.c": RANDOM,
        "drivers/net/ifb.c": "\t\tnf_skip_egress(skb, true);\n",
        ".config": dot_config,
        **VIRTUAL_TIME,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_parse_reads_values_and_absences() -> None:
    """A .config line sets an option, or states that it is not set; all other lines are comments."""
    text = '# words\nCONFIG_A=y\nCONFIG_B="x y"\n# CONFIG_C is not set\n\nCONFIG_D=250\n'

    assert configuration.parse(text) == {"CONFIG_A": "y", "CONFIG_B": '"x y"', "CONFIG_C": "n", "CONFIG_D": "250"}


def test_every_line_of_the_configuration_is_understood() -> None:
    """lab.config has only comments and options: a typing error there must not pass as a comment."""
    lines = [line for line in configuration.CONFIG_FILE.read_text().splitlines() if line.strip()]
    options = [line for line in lines if not line.startswith("#") or line.endswith("is not set")]

    assert len(options) == len(configuration.wanted())
    assert all(line.startswith(("CONFIG_", "# CONFIG_")) for line in options)


def test_the_key_changes_with_options_and_not_with_comments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reworded comment must not cost everybody a kernel build."""
    before = configuration.key()
    original = configuration.CONFIG_FILE.read_text()
    copy = tmp_path / "lab.config"
    monkeypatch.setattr(configuration, "CONFIG_FILE", copy)

    copy.write_text("# other words\n" + original)
    assert configuration.key() == before

    copy.write_text(copy.read_text() + "CONFIG_ANOTHER=y\n")
    assert configuration.key() != before


def test_the_source_is_adjusted(tmp_path: Path) -> None:
    """HZ becomes 250, as in Debian's own kernels; random numbers come from the seed, and can be seeded again."""
    tree = tree_with(tmp_path, UM_KCONFIG)

    assert configuration.adjust(tree) == []
    assert "default 250" in (tree / "arch/um/Kconfig").read_text()
    assert "randomness" not in (tree / "kernel/irq/handle.c").read_text()
    assert "nf_skip_egress(skb, !skb->from_ingress);" in (tree / "drivers/net/ifb.c").read_text()
    random = (tree / "drivers/char/random.c").read_text()
    assert "entropy()" not in random
    assert random.count("longs = 0;") == 2
    assert "&& !time_travel_free(TIMER_MULTIPLIER))" in (tree / "arch/um/kernel/time.c").read_text()
    assert "if (IS_ERR_VALUE(ret) && !time_travel_free(" in (tree / "arch/um/kernel/skas/syscall.c").read_text()
    assert "-EPERM;\n\t\tblake2s_init(&input_pool.hash, BLAKE2S_HASH_SIZE);\n\t\treturn 0;\n" in random


def test_an_adjustment_without_a_place_is_reported(tmp_path: Path) -> None:
    """A release that sets HZ differently, or in another file, is not changed, and a note reports this."""
    tree = tree_with(tmp_path, 'source "kernel/Kconfig.hz"\n')
    (tree / "kernel/irq/handle.c").unlink()

    hz, interrupts = configuration.adjust(tree)

    assert "arch/um/Kconfig" in hz
    assert "kernel/irq/handle.c" in interrupts


def test_options_of_other_architectures_are_unknown(tmp_path: Path) -> None:
    """Only what User-Mode Linux can have counts as known."""
    tree = tree_with(tmp_path, UM_KCONFIG)
    (tree / "arch/arm").mkdir()
    (tree / "arch/arm/Kconfig").write_text("config ARM\n\tbool\n")
    (tree / "net").mkdir()
    (tree / "net/Kconfig").write_text("menuconfig NET\n\tbool\n  config INDENTED\n")

    assert configuration.known_options(tree) == {"CONFIG_HZ", "CONFIG_UML", "CONFIG_NET", "CONFIG_INDENTED"}


@pytest.mark.parametrize(
    ("asked", "got", "lost"),
    [
        ("y", {"CONFIG_NET": "y"}, []),
        ("y", {}, ["CONFIG_NET=y (got n)"]),
        ("y", {"CONFIG_NET": "n"}, ["CONFIG_NET=y (got n)"]),
        ("n", {}, []),
        ("n", {"CONFIG_NET": "y"}, ["CONFIG_NET=n (got y)"]),
        ("0", {"CONFIG_NET": "1"}, ["CONFIG_NET=0 (got 1)"]),
    ],
)
def test_an_option_that_vanished_is_lost(asked: str, got: dict[str, str], lost: list[str]) -> None:
    """Kconfig silently drops an option whose dependencies are off; here this is an error."""
    assert configuration.lost_options({"CONFIG_NET": asked}, got, frozenset({"CONFIG_NET"})) == lost


def test_an_option_that_the_release_does_not_know_is_not_lost() -> None:
    """lab.config is used for old and new releases."""
    assert configuration.lost_options({"CONFIG_NEW": "y"}, {}, frozenset()) == []


def test_a_lost_option_stops_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the release and the line."""
    wanted = tmp_path / "lab.config"
    wanted.write_text("CONFIG_UML=y\n")
    monkeypatch.setattr(configuration, "CONFIG_FILE", wanted)
    tree = tree_with(tmp_path / "tree", UM_KCONFIG, "# CONFIG_UML is not set\n")

    with pytest.raises(EnvironmentUnsupported, match=r"Linux 7\.3\.4 .*CONFIG_UML=y \(got n\)"):
        configuration.check(tree, "7.3.4")
