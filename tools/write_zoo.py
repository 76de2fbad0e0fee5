#!/usr/bin/env python3
"""Writes the convolutional networks of models/zoo as plain layer graphs.

    tools/write_zoo.py [FOLDER]     into models/zoo unless told otherwise
    tools/write_zoo.py --check      nothing; fails where a file differs from what would be written

Layers are named as torchvision's modules are, so that the two can be laid side by side. Batch
normalisation counts gain and shift as parameters, not the running mean and variance.
"""

import json
import sys
from pathlib import Path

TORCHVISION = "https://pytorch.org/vision/stable/models/generated/torchvision.models."


class Network:
    """A layer graph under construction; `last` is the layer that the next one takes."""

    def __init__(self, name, source, size):
        self.head = {
            "schema": "foreplan.model/1",
            "name": name,
            "source": source,
            "input": {"channels": 3, "height": size, "width": size},
        }
        self.layers = []
        self.last = "input"

    def add(self, name, kind, inputs=None, **keys):
        """Adds a layer and returns its name; `inputs` is None for the layer before."""
        inputs = inputs or [self.last]
        layer = {"name": name, "type": kind}
        before = self.layers[-1]["name"] if self.layers else "input"
        if inputs != [before]:
            layer["inputs"] = inputs
        self.layers.append({**layer, **keys})
        self.last = name
        return name

    def conv(self, name, channels, kernel, stride=1, padding=0, groups=1, bias=False, inputs=None):
        keys = {"out_channels": channels, "kernel": kernel}
        if stride != 1:
            keys["stride"] = stride
        if padding != 0:
            keys["padding"] = padding
        if groups != 1:
            keys["groups"] = groups
        if not bias:
            keys["bias"] = False
        return self.add(name, "conv2d", inputs, **keys)

    def pool(self, name, kind, kernel, stride, padding=0, inputs=None):
        keys = {"kernel": kernel, "stride": stride}
        if padding != 0:
            keys["padding"] = padding
        return self.add(name, kind, inputs, **keys)

    def text(self):
        head = "".join(f"  {json.dumps(k)}: {json.dumps(v)},\n" for k, v in self.head.items())
        rows = ",\n".join("    " + json.dumps(layer) for layer in self.layers)
        loss = '  "loss": "softmax_cross_entropy"\n'
        return "{\n" + head + '  "layers": [\n' + rows + "\n  ],\n" + loss + "}\n"


def classify(net, classifier="fc"):
    """Global average pooling and a linear layer."""
    net.add("avgpool", "average_pool", **{"global": True})
    net.add("flatten", "flatten")
    net.add(classifier, "linear", out_features=1000)
    return net


def residual(net, block, convolutions, shortcut):
    """A residual block: `convolutions` lists (channels, kernel, stride, padding, groups)."""
    entry = net.last
    for i, (channels, kernel, stride, padding, groups) in enumerate(convolutions, start=1):
        net.conv(f"{block}.conv{i}", channels, kernel, stride, padding, groups)
        main = net.add(f"{block}.bn{i}", "batch_norm")
        if i < len(convolutions):
            net.add(f"{block}.relu{i}", "relu")
    if shortcut:
        net.conv(f"{block}.downsample.0", convolutions[-1][0], 1, shortcut, inputs=[entry])
        entry = net.add(f"{block}.downsample.1", "batch_norm")
    net.add(f"{block}.add", "add", [main, entry])
    net.add(f"{block}.relu", "relu")


def resnet(name, blocks, source=None, bottleneck=True, groups=1, base_width=64):
    """He et al., arXiv 1512.03385; the stride stands in the 3 x 3 convolution ("v1.5").

    Xie et al., arXiv 1611.05431: `groups` of `base_width` features in the 3 x 3 convolution.
    """
    net = Network(name, source or TORCHVISION + name.replace("-", "_") + ".html", 224)
    net.conv("conv1", 64, 7, 2, 3)
    net.add("bn1", "batch_norm")
    net.add("relu", "relu")
    net.pool("maxpool", "max_pool", 3, 2, 1)
    channels = 64
    for stage, repeats in enumerate(blocks):
        planes = 64 << stage
        out = planes * (4 if bottleneck else 1)
        width = planes * base_width // 64 * groups
        for i in range(repeats):
            stride = 2 if stage > 0 and i == 0 else 1
            if bottleneck:
                body = [(width, 1, 1, 0, 1), (width, 3, stride, 1, groups), (out, 1, 1, 0, 1)]
            else:
                body = [(planes, 3, stride, 1, 1), (planes, 3, 1, 1, 1)]
            changes = stride != 1 or channels != out
            residual(net, f"layer{stage + 1}.{i}", body, stride if changes else 0)
            channels = out
    return classify(net)


def flat_classifier(net, width):
    """What AlexNet's and VGG's classifiers share: two of their three linear layers."""
    net.add("classifier.fc1", "linear", out_features=width)
    net.add("classifier.relu1", "relu")
    net.add("classifier.dropout2", "dropout")
    net.add("classifier.fc2", "linear", out_features=width)
    net.add("classifier.relu2", "relu")


def alexnet():
    """Krizhevsky, arXiv 1404.5997 (one tower)."""
    net = Network("alexnet", TORCHVISION + "alexnet.html", 224)
    shapes = [(64, 11, 4, 2), (192, 5, 1, 2), (384, 3, 1, 1), (256, 3, 1, 1), (256, 3, 1, 1)]
    for i, (channels, kernel, stride, padding) in enumerate(shapes, start=1):
        net.conv(f"conv{i}", channels, kernel, stride, padding, bias=True)
        net.add(f"relu{i}", "relu")
        if i in (1, 2, 5):
            net.pool(f"maxpool{i}", "max_pool", 3, 2)
    net.add("flatten", "flatten")
    net.add("classifier.dropout1", "dropout")
    flat_classifier(net, 4096)
    net.add("classifier.fc3", "linear", out_features=1000)
    return net


def vgg(name, convolutions):
    """Simonyan and Zisserman, arXiv 1409.1556; `convolutions` of each of the five stages."""
    net = Network(name, TORCHVISION + name + ".html", 224)
    for stage, repeats in enumerate(convolutions, start=1):
        for i in range(1, repeats + 1):
            net.conv(f"conv{stage}_{i}", min(32 << stage, 512), 3, 1, 1, bias=True)
            net.add(f"relu{stage}_{i}", "relu")
        net.pool(f"maxpool{stage}", "max_pool", 2, 2)
    net.add("flatten", "flatten")
    flat_classifier(net, 4096)
    net.add("classifier.dropout3", "dropout")
    net.add("classifier.fc3", "linear", out_features=1000)
    return net


def densenet(name, blocks, growth=32, channels=64):
    """Huang et al., arXiv 1608.06993: every layer takes all before it of its block."""
    net = Network(name, TORCHVISION + name + ".html", 224)
    net.conv("conv0", channels, 7, 2, 3)
    net.add("norm0", "batch_norm")
    net.add("relu0", "relu")
    net.pool("pool0", "max_pool", 3, 2, 1)
    for b, repeats in enumerate(blocks, start=1):
        features = [net.last]
        for i in range(1, repeats + 1):
            layer = f"denseblock{b}.denselayer{i}"
            if len(features) > 1:
                net.add(f"{layer}.concat", "concat", list(features))
            for j, (width, kernel) in enumerate([(4 * growth, 1), (growth, 3)], start=1):
                net.add(f"{layer}.norm{j}", "batch_norm")
                net.add(f"{layer}.relu{j}", "relu")
                net.conv(f"{layer}.conv{j}", width, kernel, 1, kernel // 2)
            features.append(net.last)
        channels += repeats * growth
        net.add(f"denseblock{b}.concat", "concat", features)
        last = b == len(blocks)
        transition = "final" if last else f"transition{b}"
        net.add(f"{transition}.norm", "batch_norm")
        net.add(f"{transition}.relu", "relu")
        if not last:
            channels //= 2
            net.conv(f"{transition}.conv", channels, 1)
            net.pool(f"{transition}.pool", "average_pool", 2, 2)
    return classify(net, "classifier")


class Inception(Network):
    """Convolutions followed by batch normalisation and ReLU, and branches of them."""

    def unit(self, name, channels, kernel, stride=1, padding=0, inputs=None):
        self.conv(name, channels, kernel, stride, padding, inputs=inputs)
        self.add(f"{name}.bn", "batch_norm")
        return self.add(f"{name}.relu", "relu")

    def branch(self, block, entry, units):
        """A chain of (name, channels, kernel, stride, padding)."""
        last = entry
        for name, *shape in units:
            last = self.unit(f"{block}.{name}", *shape, inputs=[last])
        return last

    def pooled(self, block, entry, channels):
        pool = self.pool(f"{block}.pool", "average_pool", 3, 1, 1, inputs=[entry])
        return self.unit(f"{block}.branch_pool", channels, 1, inputs=[pool])

    def block_a(self, block, pool_channels):
        x = self.last
        branches = [
            self.branch(block, x, [("branch1x1", 64, 1)]),
            self.branch(block, x, [("branch5x5_1", 48, 1), ("branch5x5_2", 64, 5, 1, 2)]),
            self.branch(block, x, [("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3, 1, 1),
                                   ("branch3x3dbl_3", 96, 3, 1, 1)]),
            self.pooled(block, x, pool_channels),
        ]
        self.add(f"{block}.concat", "concat", branches)

    def block_b(self, block):
        x = self.last
        branches = [
            self.branch(block, x, [("branch3x3", 384, 3, 2)]),
            self.branch(block, x, [("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3, 1, 1),
                                   ("branch3x3dbl_3", 96, 3, 2)]),
            self.pool(f"{block}.pool", "max_pool", 3, 2, inputs=[x]),
        ]
        self.add(f"{block}.concat", "concat", branches)

    def block_c(self, block, c):
        x = self.last
        row, column = ([1, 7], 1, [0, 3]), ([7, 1], 1, [3, 0])
        branches = [
            self.branch(block, x, [("branch1x1", 192, 1)]),
            self.branch(block, x, [("branch7x7_1", c, 1), ("branch7x7_2", c, *row),
                                   ("branch7x7_3", 192, *column)]),
            self.branch(block, x, [("branch7x7dbl_1", c, 1), ("branch7x7dbl_2", c, *column),
                                   ("branch7x7dbl_3", c, *row), ("branch7x7dbl_4", c, *column),
                                   ("branch7x7dbl_5", 192, *row)]),
            self.pooled(block, x, 192),
        ]
        self.add(f"{block}.concat", "concat", branches)

    def block_d(self, block):
        x = self.last
        branches = [
            self.branch(block, x, [("branch3x3_1", 192, 1), ("branch3x3_2", 320, 3, 2)]),
            self.branch(block, x, [("branch7x7x3_1", 192, 1),
                                   ("branch7x7x3_2", 192, [1, 7], 1, [0, 3]),
                                   ("branch7x7x3_3", 192, [7, 1], 1, [3, 0]),
                                   ("branch7x7x3_4", 192, 3, 2)]),
            self.pool(f"{block}.pool", "max_pool", 3, 2, inputs=[x]),
        ]
        self.add(f"{block}.concat", "concat", branches)

    def split(self, block, stem, x):
        """A 1 x 3 and a 3 x 1 convolution of the same input, side by side."""
        return [
            self.unit(f"{block}.{stem}a", 384, [1, 3], 1, [0, 1], inputs=[x]),
            self.unit(f"{block}.{stem}b", 384, [3, 1], 1, [1, 0], inputs=[x]),
        ]

    def block_e(self, block):
        x = self.last
        branches = [self.branch(block, x, [("branch1x1", 320, 1)])]
        single = self.branch(block, x, [("branch3x3_1", 384, 1)])
        branches += self.split(block, "branch3x3_2", single)
        double = self.branch(block, x, [("branch3x3dbl_1", 448, 1),
                                        ("branch3x3dbl_2", 384, 3, 1, 1)])
        branches += self.split(block, "branch3x3dbl_3", double)
        branches.append(self.pooled(block, x, 192))
        self.add(f"{block}.concat", "concat", branches)


def inception_v3():
    """Szegedy et al., arXiv 1512.00567, without the auxiliary classifier."""
    source = TORCHVISION + "inception_v3.html, without the auxiliary classifier"
    net = Inception("inception-v3", source, 299)
    net.unit("Conv2d_1a_3x3", 32, 3, 2)
    net.unit("Conv2d_2a_3x3", 32, 3)
    net.unit("Conv2d_2b_3x3", 64, 3, 1, 1)
    net.pool("maxpool1", "max_pool", 3, 2)
    net.unit("Conv2d_3b_1x1", 80, 1)
    net.unit("Conv2d_4a_3x3", 192, 3)
    net.pool("maxpool2", "max_pool", 3, 2)
    for block, channels in [("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)]:
        net.block_a(block, channels)
    net.block_b("Mixed_6a")
    for letter, channels in [("b", 128), ("c", 160), ("d", 160), ("e", 192)]:
        net.block_c(f"Mixed_6{letter}", channels)
    net.block_d("Mixed_7a")
    net.block_e("Mixed_7b")
    net.block_e("Mixed_7c")
    net.add("avgpool", "average_pool", **{"global": True})
    net.add("dropout", "dropout")
    net.add("flatten", "flatten")
    net.add("fc", "linear", out_features=1000)
    return net


def networks():
    return [
        resnet("resnet18", [2, 2, 2, 2], bottleneck=False),
        resnet("resnet34", [3, 4, 6, 3], bottleneck=False),
        resnet("resnet50", [3, 4, 6, 3]),
        resnet("resnet101", [3, 4, 23, 3]),
        resnet("resnet152", [3, 8, 36, 3]),
        resnet("resnext50-32x4d", [3, 4, 6, 3], groups=32, base_width=4),
        resnet(
            "resnext101-32x4d",
            [3, 4, 23, 3],
            "https://huggingface.co/timm/resnext101_32x4d.gluon_in1k; Xie et al., arXiv 1611.05431",
            groups=32,
            base_width=4,
        ),
        resnet("resnext101-32x8d", [3, 4, 23, 3], groups=32, base_width=8),
        resnet("wide-resnet50-2", [3, 4, 6, 3], base_width=128),
        alexnet(),
        vgg("vgg11", [1, 1, 2, 2, 2]),
        vgg("vgg16", [2, 2, 3, 3, 3]),
        vgg("vgg19", [2, 2, 4, 4, 4]),
        densenet("densenet121", [6, 12, 24, 16]),
        inception_v3(),
    ]


def main(arguments):
    check = arguments == ["--check"]
    folder = Path(__file__).resolve().parent.parent / "models" / "zoo"
    if arguments and not check:
        folder = Path(arguments[0])
    stale = 0
    for net in networks():
        path = folder / (net.head["name"] + ".json")
        if not check:
            path.write_text(net.text(), encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != net.text():
            print(f"{path}: is not what tools/write_zoo.py writes")
            stale += 1
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
