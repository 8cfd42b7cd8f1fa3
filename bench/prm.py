# bench/prm.py LISTS EPOCHS THREADS - seconds that PyTorch takes to train the network of `--ranker prm` on lists of 50 items
# with 14 features: the same layers, batches of 128, dropout, AdamW with clipping, list-wise cross entropy.
import sys
import time

import torch
import torch.nn.functional as F

lists, epochs, threads = (int(a) for a in sys.argv[1:4])
torch.set_num_threads(threads)
torch.manual_seed(1)
N, W, D, H, B = 50, 14, 64, 2, 128


class Prm(torch.nn.Module):
    def __init__(self):
        super().__init__()
        L = torch.nn.Linear
        self.first = torch.nn.Parameter(torch.ones(1))
        self.inn, self.position = L(W, D), torch.nn.Parameter(0.02 * torch.randn(N, D))
        self.qkv, self.mix = L(D, 3 * D), L(D, D)
        self.norm1, self.norm2 = torch.nn.LayerNorm(D), torch.nn.LayerNorm(D)
        self.wide, self.narrow = L(D, 2 * D), L(2 * D, D)
        self.last, self.out = L(D, D), L(D, 1)
        self.drop = torch.nn.Dropout(0.1)

    def forward(self, x, mask):
        h = self.inn(x) + self.position
        q, k, v = (t.view(-1, N, H, D // H).transpose(1, 2) for t in self.qkv(h).chunk(3, -1))
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :])
        h = self.norm1(h + self.drop(self.mix(y.transpose(1, 2).reshape(-1, N, D))))
        h = self.norm2(h + self.drop(self.narrow(F.relu(self.wide(h)))))
        return self.out(F.relu(self.last(h))).squeeze(-1) + self.first * x[:, :, 0]


net = Prm()
optim = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.01)
x = torch.randn(lists, N, W)
label = (torch.rand(lists, N) < 0.05).float()
label[:, 0] = 1
mask = torch.ones(lists, N, dtype=torch.bool)


def epoch():
    for at in torch.randperm(lists).split(B):
        score = net(x[at], mask[at])
        y = label[at]
        loss = -(y / y.sum(1, keepdim=True) * F.log_softmax(score, 1)).sum(1).mean()
        optim.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5)
        optim.step()


epoch()
seconds = []
for _ in range(epochs):
    start = time.time()
    epoch()
    seconds.append(time.time() - start)
print("%.3f" % sorted(seconds)[len(seconds) // 2])
