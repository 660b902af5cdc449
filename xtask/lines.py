"""How large each crate is: `python xtask/lines.py`.

Lines are those of Rust and C++ under src/ and cpp/ and of build.rs, without comments, blank lines
and tests (`#[cfg(test)]` items and the files of such modules). Examples and tests/ are not counted.
Public items are functions, types, traits, constants, statics and modules that are `pub`;
dependencies are those that the crate names itself, without those of its tests and build script.
"""

import json
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PUBLIC = re.compile(
    r"\s*pub (?:(?:const|async|unsafe|extern \"C\") )*"
    r"(?:fn|struct|enum|union|trait|type|const|static|mod) "
)
TEST = re.compile(r"(\s*)#\[cfg\(test\)\]")
MODULE = re.compile(r"\s*(?:pub(?:\(\w+\))? )?mod (\w+);")


def without_tests(lines):
    """The lines outside of `#[cfg(test)]` items, and the names of modules that are such items."""
    kept, modules = [], []
    lines = iter(lines)
    for line in lines:
        test = TEST.match(line)
        if not test:
            kept.append(line)
            continue
        # rustfmt ends an item on a line that is indented as its first.
        first = True
        for part in lines:
            module = MODULE.match(part)
            if first and module:
                modules.append(module[1])
            indented = len(part) - len(part.lstrip())
            first = first and part.lstrip().startswith("#[")
            if indented == len(test[1]) and part.rstrip().endswith((";", ",", "}")):
                break
    return kept, modules


def code(lines):
    """The lines that are neither blank nor a comment."""
    inside = False
    for line in lines:
        text = line.strip()
        if inside or text.startswith("/*"):
            inside = "*/" not in text
        elif text and not text.startswith("//"):
            yield line


def sources(folder):
    """The code lines of each file of a crate."""
    files = [folder / "build.rs", *folder.glob("src/**/*.rs"), *folder.glob("cpp/**/*")]
    counted, tests = {}, set()
    for file in files:
        if not file.is_file():
            continue
        lines, modules = without_tests(file.read_text().splitlines())
        inner = file.parent if file.stem in ("lib", "main", "mod") else file.with_suffix("")
        tests |= {inner / name for name in modules}
        counted[file] = list(code(lines))
    return {
        file: lines
        for file, lines in counted.items()
        if not tests.intersection([file.with_suffix(""), *file.parents])
    }


def main():
    command = ["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    print(f"{'crate':18}{'Rust':>7}{'C++':>7}{'public':>8}{'dependencies':>14}")
    total = [0, 0, 0]
    for package in json.loads(done.stdout)["packages"]:
        files = sources(Path(package["manifest_path"]).parent)
        rust = [lines for file, lines in files.items() if file.suffix == ".rs"]
        counts = [
            sum(map(len, rust)),
            sum(map(len, files.values())) - sum(map(len, rust)),
            sum(bool(PUBLIC.match(line)) for lines in rust for line in lines),
        ]
        needed = sum(dependency["kind"] is None for dependency in package["dependencies"])
        print(f"{package['name']:18}{counts[0]:7}{counts[1]:7}{counts[2]:8}{needed:14}")
        total = [a + b for a, b in zip(total, counts, strict=True)]
    print(f"{'all':18}{total[0]:7}{total[1]:7}{total[2]:8}")


if __name__ == "__main__":
    main()
