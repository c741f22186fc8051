"""Right answers in other styles than that of the solution: each must get full marks."""

#: By the exercise: how it is written, with pieces of the solution and what stands instead.
RIGHT = {
    "sigmoid": {
        "float32": {"return 1 / (1 + np.exp(-x))\n": "return (1 / (1 + np.exp(-x))).astype(np.float32)\n"},
        "stable": {"return 1 / (1 + np.exp(-x))\n": "return np.exp(-np.logaddexp(0, -x))\n"},
        "by tanh": {"return 1 / (1 + np.exp(-x))\n": "return (1 + np.tanh(x / 2)) / 2\n"},
        "another product": {"return l * (1 - l)\n": "return l - l**2\n"},
    },
    "two_layer": {
        "loops, and a list": {
            "syn0 = syn0 + x.T @ l1_delta\n": "for row, delta in zip(x, l1_delta):\n"
            "            syn0 = syn0 + np.outer(row, delta)\n",
            "return syn0, l1": "return [syn0, l1]",
        },
        "in place": {"syn0 = syn0 + x.T @ l1_delta\n": "syn0 += np.dot(x.T, l1_delta)\n"},
    },
    "three_layer": {
        "an array of errors, in place": {
            "return syn0, syn1, errors": "return syn0, syn1, np.array(errors)",
            "syn1 = syn1 + l1.T @ l2_delta\n": "syn1 += np.dot(l1.T, l2_delta)\n",
        },
    },
    "dense": {
        "loops, zeros and ones": {
            "return x @ self.W.value + self.b.value, x\n": "y = np.zeros((len(x), len(self.b.value)))\n"
            "        for j, column in enumerate(self.W.value.T):\n"
            "            y[:, j] = (x * column).sum(axis=1) + self.b.value[j]\n        return y, {'x': x}\n",
            "x = cache\n": "x = cache['x']\n",
            "self.b.add(grad.sum(axis=0))\n": "self.b.add(np.ones(len(grad)) @ grad)\n",
        },
        "row by row": {
            "self.W.add(x.T @ grad)\n": "for row, g in zip(x, grad):\n            self.W.add(np.outer(row, g))\n",
            "self.b.add(grad.sum(axis=0))\n": "for g in grad:\n            self.b.add(g.copy())\n",
        },
    },
    "chain": {
        "a tuple of pairs": {
            "caches.append(cache)\n": "caches.append((layer, cache))\n",
            "return x, caches\n": "return x, tuple(caches)\n",
            "for layer, cache in zip(reversed(self.layers), reversed(caches), strict=True):\n": (
                "for layer, cache in caches[::-1]:\n"
            ),
        },
    },
    "squared_error": {
        "a function for a cache": {
            "value = np.sum(w * difference**2) / np.sum(w)\n": "value = np.average((p - t) ** 2, weights=w)\n",
            "(difference, w)\n": "lambda scale: scale * 2 * w * difference / w.sum()\n",
            "difference, w = cache\n": "return cache(scale)\n",
            "        return scale * 2 * w * difference / np.sum(w)\n": "",
        },
    },
    "softmax_cross_entropy": {
        "one-hot rows of float64": {
            "grad = p.copy()\n": "grad = p - np.eye(p.shape[1])[y]\n",
            "        grad[np.arange(len(y)), y] -= 1\n": "",
        },
        "logaddexp": {"np.log(np.exp(shifted).sum(axis=1))": "np.logaddexp.reduce(shifted, axis=1)"},
    },
    "adam": {
        "lists, and another order": {
            "return w, u\n": "return [w, u]\n",
            "m = beta1 * m + (1 - beta1) * g\n": "m = m + (1 - beta1) * (g - m)\n",
            "w = w - rate * m_hat / (np.sqrt(v_hat) + epsilon)\n": "c = np.sqrt(1 - beta2**t)\n"
            "    w = w - rate * c * m_hat / (np.sqrt(v) + epsilon * c)\n",
        },
    },
    "dropout": {
        "zeros by an assignment": {
            "mask = (self.generator.random(x.shape) >= self.rate) / (1 - self.rate)\n": "mask = np.ones(x.shape)\n"
            "        mask[self.generator.random(x.shape) < self.rate] = 0\n        mask /= 1 - self.rate\n",
            "return x * mask, mask\n": "return x * mask, {'mask': mask}\n",
            "grad * cache\n": "grad * cache['mask']\n",
        },
    },
    "batch_norm": {
        "in place on the buffers, one formula": {
            "self.running_mean.value = (1 - m) * self.running_mean.value + m * mean\n": (
                "self.running_mean.value *= 1 - m\n        self.running_mean.value += m * mean\n"
            ),
            "return own + by_mean + by_variance\n": "N = float(len(g)) * np.ones(1)\n"
            "        return (N * g - g.sum(0) - n * (g * n).sum(0)) / (N * s)\n",
        },
    },
    "embedding": {
        "one-hot rows of float64": {
            "return self.W.value[x], x\n": "return self.W.value[x], np.eye(len(self.W.value))[x]\n",
            "np.add.at(dW, x, grad)\n": "dW = np.einsum('...k,...d->...kd', x, grad)\n"
            "        dW = dW.reshape(-1, *self.W.value.shape).sum(axis=0)\n",
        },
    },
    "convolution": {
        "windows at once, float64": {
            "y = self.b.value\n": "w = np.lib.stride_tricks.sliding_window_view(x, K, axis=1)\n"
            "        return np.einsum('ntik,kio->nto', w, self.W.value) + self.b.value, x\n",
            "np.zeros_like(x)\n": "np.zeros(x.shape)\n",
        },
    },
    "lstm_cell": {
        "block by block": {
            "dx, dh_before = da @ W.T, da @ U.T\n": "blocks = (da_i, da_f, da_g, da_o)\n"
            "    dx = sum(d @ w.T for d, w in zip(blocks, np.split(W, 4, axis=1)))\n"
            "    dh_before = np.einsum('nk,uk->nu', da, U)\n",
            "da.sum(axis=0)\n": "np.ones(len(da)) @ da\n",
        },
    },
    "attention": {
        "matrices of slopes, np.sqrt": {
            "return P * (dP - (dP * P).sum(axis=-1, keepdims=True))\n": (
                "slopes = P[..., None] * (np.eye(P.shape[-1]) - P[..., None, :])\n"
                "    return np.einsum('ntuv,ntv->ntu', slopes, dP)\n"
            ),
            "transposed(K) / self.d**0.5\n": "transposed(K) / np.sqrt(self.d)\n",
            "S = np.where(visible, S, -np.inf)\n": "S = S + np.where(visible, 0, -np.inf)\n",
        },
    },
}
