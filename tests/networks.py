"""The lab's networks in PyTorch, written on their own from the paper and the blog post.

Modules bear the names of the Rust library's variables, so that a state dict carries over as it is.
"""

import torch
from torch import nn
from torch.nn import functional as F

# Table 1 of arXiv 1409.4842: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj.
TABLE_1 = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


class Conv(nn.Conv2d):
    in_place = False

    def __init__(self, inputs, outputs, kernel, stride=1, norm=False, relu=True):
        super().__init__(inputs, outputs, kernel, stride, kernel // 2, bias=not norm)
        self.norm = nn.BatchNorm2d(outputs) if norm else None
        self.relu = relu

    def forward(self, x):
        x = super().forward(x)
        if self.norm is not None:
            x = self.norm(x)
        return F.relu(x, self.in_place) if self.relu else x


class Inception(nn.Module):
    def __init__(self, inputs, row, norm):
        super().__init__()
        one, reduce_3, three, reduce_5, five, proj = row
        self.conv_1x1 = Conv(inputs, one, 1, norm=norm)
        self.reduce_3x3 = Conv(inputs, reduce_3, 1, norm=norm)
        self.conv_3x3 = Conv(reduce_3, three, 3, norm=norm)
        self.reduce_5x5 = Conv(inputs, reduce_5, 1, norm=norm)
        self.conv_5x5 = Conv(reduce_5, five, 5, norm=norm)
        self.pool_proj = Conv(inputs, proj, 1, norm=norm)
        self.outputs = one + three + five + proj

    def forward(self, x):
        branches = [
            self.conv_1x1(x),
            self.conv_3x3(self.reduce_3x3(x)),
            self.conv_5x5(self.reduce_5x5(x)),
            self.pool_proj(F.max_pool2d(x, 3, 1, 1)),
        ]
        return torch.cat(branches, 1)


class Auxiliary(nn.Module):
    def __init__(self, inputs, classes):
        super().__init__()
        self.conv = Conv(inputs, 128, 1)
        self.hidden = nn.Linear(128 * 4 * 4, 1024)
        self.classifier = nn.Linear(1024, classes)

    def forward(self, x):
        x = self.conv(F.avg_pool2d(x, 5, 3)).flatten(1)
        return self.classifier(F.relu(self.hidden(x)))


class Head(nn.Module):
    def __init__(self, inputs, classes):
        super().__init__()
        self.classifier = nn.Linear(inputs, classes)

    def forward(self, x):
        return self.classifier(x)


class GoogLeNet(nn.Module):
    """Blocks 3a to 5b with a pool before 4a and 5a; the stem and the pool differ by network."""

    def __init__(self, stem_outputs, classes, norm=False):
        super().__init__()
        channels = stem_outputs
        for name, row in TABLE_1.items():
            block = Inception(channels, row, norm)
            self.add_module(f"inception_{name}", block)
            channels = block.outputs
        self.head = Head(channels, classes)

    def blocks(self, x, pool):
        """Yields the activations after each block, with its name."""
        for name in TABLE_1:
            if name in ("4a", "5a"):
                x = pool(x)
            x = self.get_submodule(f"inception_{name}")(x)
            yield name, x


class Seed(GoogLeNet):
    """The blog post's network, ten classes, base width 64, dropout left out."""

    def __init__(self):
        super().__init__(192, 10)
        self.conv_1 = Conv(3, 64, 7, 2, relu=False)
        self.conv_2 = Conv(64, 192, 3, relu=False)

    def forward(self, x):
        def pool(x):
            return F.max_pool2d(x, 3, 2, 1)

        x = pool(self.conv_2(pool(self.conv_1(x))))
        *_, (_, last) = self.blocks(x, pool)
        return self.head(F.avg_pool2d(last, 7, 1).flatten(1)), []


class Paper(GoogLeNet):
    """The paper's network with both auxiliary classifiers, dropout left out."""

    def __init__(self):
        super().__init__(192, 1000)
        self.conv_1 = Conv(3, 64, 7, 2)
        self.conv_2_reduce = Conv(64, 64, 1)
        self.conv_2 = Conv(64, 192, 3)
        self.aux_4a = Auxiliary(512, 1000)
        self.aux_4d = Auxiliary(528, 1000)

    def forward(self, x):
        def pool(x):
            return F.max_pool2d(x, 3, 2, ceil_mode=True)

        def norm(x):
            return F.local_response_norm(x, 5, alpha=1e-4, beta=0.75, k=1.0)

        x = norm(pool(self.conv_1(x)))
        x = pool(norm(self.conv_2(self.conv_2_reduce(x))))
        auxiliary = []
        for name, y in self.blocks(x, pool):
            if self.training and name in ("4a", "4d"):
                auxiliary.append(self.get_submodule(f"aux_{name}")(y))
        return self.head(F.avg_pool2d(y, 7, 1).flatten(1)), auxiliary


class Cifar(GoogLeNet):
    """Full width with batch normalisation for 32x32 images, no early downsampling."""

    def __init__(self):
        super().__init__(192, 10, norm=True)
        self.conv_1 = Conv(3, 192, 3, norm=True)

    def forward(self, x):
        def pool(x):
            return F.max_pool2d(x, 3, 2, 1)

        *_, (_, last) = self.blocks(self.conv_1(x), pool)
        return self.head(last.mean((2, 3))), []


class Compact(nn.Module):
    """The small network: a stem with stride 2 and four blocks, with batch normalisation."""

    def __init__(self):
        super().__init__()
        self.conv_1 = Conv(3, 32, 5, 2, norm=True)
        self.conv_2 = Conv(32, 64, 3, norm=True)
        self.inception_3a = Inception(64, (48, 32, 64, 16, 24, 24), True)
        self.inception_3b = Inception(160, (64, 48, 96, 16, 32, 32), True)
        self.inception_4a = Inception(224, (112, 96, 192, 24, 48, 48), True)
        self.inception_4b = Inception(400, (160, 128, 256, 32, 64, 64), True)
        self.head = Head(544, 10)

    def forward(self, x):
        def pool(x):
            return F.max_pool2d(x, 3, 2, 1)

        x = pool(self.conv_2(self.conv_1(x)))
        x = pool(self.inception_3b(self.inception_3a(x)))
        x = self.inception_4b(self.inception_4a(x))
        return self.head(x.mean((2, 3))), []


NETWORKS = {
    "seed": (Seed, 224),
    "paper": (Paper, 224),
    "cifar": (Cifar, 32),
    "compact": (Compact, 32),
}


def unsettle_norms(net, least_variance):
    """Statistics and weights of every batch norm away from 0 and 1, so that a mix-up shows."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(least_variance, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
