"""Mistakes to put into the chapters' solutions: of each what is wrong, what is replaced, by what, and what is said."""

Wrong = dict[str, tuple[str, str, str]]  # the name of a mistake: replaced text, other text, a part of the message

LOSS = 'F.cross_entropy(model(x), y, reduction="sum")'
FGSM: Wrong = {
    "no sign": ("gradient.sign()", "gradient", "Take the gradient's sign"),
    "down the loss": ("x + eps", "x - eps", "wrong way"),
    "eps doubled": ("eps * gradient", "2 * eps * gradient", "a pixel changed by 0.2, and eps is 0.1"),
    "eps in 255ths": ("eps * gradient", "eps / 255 * gradient", "no division by 255"),
    "eps fixed": ("eps * gradient", "0.1 * gradient", "a pixel changed by 0.1, and eps is 0.03"),
    "not cut off": (".clamp(0, 1)", "", "cut off the rest (clamp)"),
    "cut off below only": (".clamp(0, 1)", ".clamp(min=0)", "live in [0, 1]"),
    "not detached": ("return x_adv.detach()", "return x_adv", "return x_adv.detach()"),
    "rescaled": (
        "return x_adv.detach().clamp(0, 1)",
        "x_adv = x_adv.detach()\n    return (x_adv - x_adv.min()) / (x_adv.max() - x_adv.min())",
        "x' is rescaled into [0, 1]",
    ),
    "rescaled image by image": (
        "return x_adv.detach().clamp(0, 1)",
        "low, high = x_adv.amin((1, 2, 3), True), x_adv.amax((1, 2, 3), True)\n"
        "    return ((x_adv - low) / (high - low)).detach()",
        "x' is rescaled into [0, 1]",
    ),
    "left alone near the border": (
        "return x_adv.detach().clamp(0, 1)",
        "return torch.where((x_adv < 0) | (x_adv > 1), x, x_adv).detach()",
        "move every pixel, near 0 and 1 too",
    ),
    "left alone at the border": (
        "return x_adv.detach().clamp(0, 1)",
        "return torch.where((x == 0) | (x == 1), x, x_adv.clamp(0, 1)).detach()",
        "move every pixel, near 0 and 1 too",
    ),
    "divided by its size": ("gradient.sign()", "gradient / gradient.abs()", "division by 0"),
    "up where the gradient is 0": ("gradient.sign()", "(2 * (gradient >= 0) - 1)", "whose gradient is 0"),
    "labels predicted": (LOSS, 'F.cross_entropy(model(x), model(x).argmax(1), reduction="sum")', "labels y"),
    "softmax twice": (LOSS, 'F.cross_entropy(model(x).softmax(1), y, reduction="sum")', "applies softmax itself"),
    "a logit": (LOSS, "model(x).gather(1, y[:, None]).sum()", "gradient of a logit"),
    "a batch of four": (
        LOSS,
        'F.cross_entropy(model(x[:4]), y[:4], reduction="sum")',
        "image 4 of 5 is left as it was",
    ),
    "x itself": ("x.clone().requires_grad_(True)", "x.requires_grad_(True)", "x is left with requires_grad"),
    "backward": ("torch.autograd.grad(loss, x)[0]", "(loss.backward(), x.grad)[1]", "gradients are left in the model"),
    "train mode": ("    loss =", "    model.train()\n    loss =", "left in train mode"),
}
STEP_LL: Wrong = {
    "no sign": ("gradient.sign()", "gradient", "Take the gradient's sign"),
    "up the loss": ("x - eps", "x + eps", "wrong way"),
    "likeliest class": ("argmin(1)", "argmax(1)", "argmin, not argmax"),
    "least likely image": ("argmin(1)", "argmin(0)", "your function stopped with ValueError"),
    "second least likely": ("argmin(1)", "argsort(1)[:, 1]", "lowest logit"),
    "class 0": ("argmin(1)", "argmin(1) * 0", "lowest logit"),
    "class of the first image": ("argmin(1)", "argmin(1)[:1].expand(len(x))", "lowest logit"),
    "eps doubled": ("eps * gradient", "2 * eps * gradient", "a pixel changed by 0.2"),
    "eps fixed": ("eps * gradient", "0.1 * gradient", "and eps is 0.03"),
    "not cut off": (".clamp(0, 1)", "", "cut off the rest (clamp)"),
}
PGD: Wrong = {
    "momentum": (
        "        x_adv = x_adv.detach() + step_size * gradient.sign()",
        "        velocity = gradient if _ == 0 else velocity + gradient\n"
        "        x_adv = x_adv.detach() + step_size * velocity.sign()",
        "mixed in (momentum)",
    ),
    "momentum, 0.7": (
        "        x_adv = x_adv.detach() + step_size * gradient.sign()",
        "        velocity = gradient if _ == 0 else 0.7 * velocity + gradient\n"
        "        x_adv = x_adv.detach() + step_size * velocity.sign()",
        "x' goes astray in step 2, of length 0.04: before it all is right",
    ),
    "momentum, normalised": (
        "        x_adv = x_adv.detach() + step_size * gradient.sign()",
        "        g = gradient / gradient.abs().sum((1, 2, 3), keepdim=True)\n"
        "        velocity = g if _ == 0 else velocity + g\n"
        "        x_adv = x_adv.detach() + step_size * velocity.sign()",
        "mixed in (momentum)",
    ),
    "random start": (
        "x.clone()",
        "(x + eps * (2 * torch.rand_like(x) - 1)).clamp(0, 1)",
        "start at x, not at a random point",
    ),
    "the same random start": (
        "x.clone()",
        "(x + eps * (2 * torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) - 1)).clamp(0, 1)",
        "start at x, not at a random point",
    ),
    "no ball": (".clamp(x - eps, x + eps)", "", "put x' back into the eps ball around the clean x"),
    "no box": ("x + eps).clamp(0, 1)", "x + eps)", "cut off the rest (clamp)"),
    "one step more": ("range(steps)", "range(steps + 1)", "where 5 steps of 0.04 lead, and 4"),
    "one step less": ("range(steps)", "range(1, steps)", "where 3 steps of 0.04 lead, and 4"),
    "ten steps": ("range(steps)", "range(10)", "where 10 steps of 0.04 lead, and 4"),
    "steps of eps": ("step_size *", "eps *", "it should have length step_size"),
    "step size fixed": ("step_size *", "0.04 *", "multiply the sign of the gradient by step_size"),
    "down the loss": ("detach() + step", "detach() - step", "do not subtract"),
    "no sign": ("gradient.sign()", "gradient", "multiply it by the sign of the gradient"),
    "ball of double size": ("x - eps, x + eps", "x - 2 * eps, x + 2 * eps", "and eps is 0.1"),
    "ball on one side": ("clamp(x - eps, x + eps)", "clamp(max=x + eps)", "and eps is 0.1"),
    "gradient at x": (
        "F.cross_entropy(model(x_adv)",
        "F.cross_entropy(model(x + x_adv - x_adv.detach())",
        "at the clean image",
    ),
    "labels predicted": ("x_adv), y,", "x_adv), model(x).argmax(1),", "loss is that of predicted classes"),
    "first step returned": ("    return x_adv", "        return x_adv", "where 1 step of 0.04 leads, and 4"),
}
SIGMA: Wrong = {
    "no abs": (".abs()", "", "take the absolute value of the difference"),
    "abs of each side": ("(clean - adversarial)", "(clean.abs() - adversarial.abs())", "take them of the difference"),
    "mean over positions": (".sum(2)", ".mean(2)", "mean over positions"),
    "sum over images": (".mean(0)", ".sum(0)", "divides by their number N"),
    "neurons summed": ("change.sum(2).mean(0)", "change.sum((1, 2))", "one number per image"),
    "images and neurons swapped": ("change.sum(2).mean(0)", "change.sum(2).mean(1)", "axis 1 has the neurons"),
    "wrong axes": (
        "return change.sum(2).mean(0)",
        "return (clean - adversarial).abs().sum((2, 3)).mean(0)",
        "in line 10. It was given clean of shape (3, 5), adversarial of shape (3, 5)",
    ),
    "a tuple of no axes": (
        "return change.sum(2).mean(0)",
        "change = (clean - adversarial).abs()\n    return change.sum(tuple(range(2, change.ndim))).mean(0)",
        "one number for the layer",
    ),
    "squares": (".abs()", ".square()", "sum of squares"),
    "L2 norm": ("change.sum(2)", "change.norm(dim=2)", "L2 norm"),
    "largest change": ("change.sum(2)", "change.amax(2)", "largest change of all positions"),
    "a batch of three": (".mean(0)", ".sum(0) / 3", "divided by 3, and there are 4 images"),
    "first image only": (".mean(0)", "[0]", "should be"),
    "changed in place": ("(clean - adversarial)", "clean.sub_(adversarial)", "clean was changed in place"),
}
TOP: Wrong = {
    "a tenth": ("int(fraction * len(sigma))", "len(sigma) // 10", "(2,): take the fraction that is given"),
    "rounded": ("int(", "round(", "round down"),
    "rounded up": ("int(fraction * len(sigma))", "-int(-fraction * len(sigma) // 1)", "round down"),
    "none of few": ("max(1, int(fraction * len(sigma)))", "int(fraction * len(sigma))", "always at least one"),
    "one more": ("int(fraction * len(sigma))", "int(fraction * len(sigma)) + 1", "round down"),
    "least sensitive": ("descending=True", "descending=False", "least sensitive"),
    "values": (".indices", ".values", "return the indices"),
    "in order of index": ("[:k]", "[:k].sort().values", "another order"),
    "reversed": ("[:k]", "[:k].flip(0)", "reverse order"),
    "all of them": ("[:k]", "", "an answer for every neuron"),
    "above a quantile": (
        "return sigma.sort(descending=True, stable=True).indices[:k]",
        "return sigma >= sigma.quantile(1 - fraction)",
        "an answer for every neuron",
    ),
    "looked up by value": (
        "return sigma.sort(descending=True, stable=True).indices[:k]",
        "values = sigma.tolist()\n    return [values.index(v) for v in sorted(values, reverse=True)[:k]]",
        "a neuron is in it twice",
    ),
}
JACCARD: Wrong = {
    "sum": (" / len(pairs)", "", "sum over the pairs"),
    "by the sets": ("/ len(pairs)", "/ len(sets)", "divided by the number of sets"),
    "twice": ("sum(indices)", "2 * sum(indices)", "counted twice"),
    "sum of sizes": ("len(a | b)", "(len(a) + len(b))", "sizes of both sets"),
    "smaller set": ("len(a | b)", "min(len(a), len(b))", "smaller set"),
    "larger set": ("len(a | b)", "max(len(a), len(b))", "larger set"),
    "with itself": ("list(combinations(sets, 2))", "[(a, b) for a in sets for b in sets]", "a set with itself"),
    "neighbours": ("list(combinations(sets, 2))", "list(zip(sets, sets[1:]))", "only neighbours"),
    "with the first": ("list(combinations(sets, 2))", "[(sets[0], b) for b in sets[1:]]", "pairs with the first set"),
    "equal sets left out": (
        "list(combinations(sets, 2))",
        "[(a, b) for a, b in combinations(sets, 2) if a != b]",
        "should be 0.4167. The sets are",
    ),
    "of all sets": (
        "return sum(indices) / len(pairs)",
        "return len(set.intersection(*sets)) / len(set.union(*sets))",
        "total Jaccard",
    ),
    "difference": ("len(a & b)", "len(a ^ b)", "in which two sets differ"),
    "in place": (
        "    pairs =",
        "    sets.sort(key=len)\n    sets.append({1})\n    pairs =",
        "sets was changed in place",
    ),
}
SUPPRESSED: Wrong = {
    "beta ignored": ("*= beta", "= 0", "set to 0: multiply them by beta"),
    "beta fixed": ("*= beta", "*= 0.8", "multiplied by 0.8, and beta is 0 here"),
    "1 - beta": ("*= beta", "*= 1 - beta", "lose the share beta"),
    "set to beta": ("*= beta", "= beta", "set to beta"),
    "all neurons": ("output[:, neurons]", "output[:]", "all neurons are turned down"),
    "images": ("output[:, neurons]", "output[neurons]", "neurons are on axis 1"),
    "first neuron": ("output[:, neurons]", "output[:, neurons[:1]]", "only the first of the chosen neurons"),
    "not returned": ("        return output\n", "", "let the hook return the changed output"),
    "hook left": ("handle.remove()", "pass", "a hook is left"),
    "hook left after an error": (
        "    try:\n        with torch.no_grad():\n            return model(x)\n    finally:\n        handle.remove()",
        "    with torch.no_grad():\n        logits = model(x)\n    handle.remove()\n    return logits",
        "Do that in `finally:`",
    ),
    "layer fixed": ("model.get_submodule(layer)", "model.hidden", "Here layer is 'hidden.0'"),
    "a layer put in": (
        "    handle =",
        "    model.append(torch.nn.Identity())\n    handle =",
        "the model has other layers than before",
    ),
    "forward replaced": (
        "    handle =",
        "    model.fc.forward = model.fc.forward\n    handle =",
        "forward is left replaced",
    ),
}
HELPFUL: Wrong = {
    "beta ignored": ("{layer: [neuron]}, beta)", "{layer: [neuron]}, 0.0)", "the one with beta 0"),
    "least": ("index(max(right))", "index(min(right))", "helps least"),
    "eight neurons": ("range(recorded[layer].shape[1])", "range(8)", "your function stopped with"),
    "by rows": ("recorded[layer].shape[1]", "recorded[layer].shape[2]", "Suppress every neuron"),
    "first left out": ("range(rec", "range(1, rec", "Suppress every neuron"),
    "last left out": ("shape[1])", "shape[1] - 1)", "Suppress every neuron"),
    "wrong predictions": ("== y", "!= y", "helps least"),
    "likeliest image": ("argmax(1)", "argmin(1)", "with another"),
    "layer fixed": (
        "without = sns.suppress(model, {layer:",
        "without = sns.suppress(model, {'hidden':",
        "with neuron 2 of hidden.0 suppressed",
    ),
    "accuracy": ("right.index(max(right))", "max(right) / len(y)", "is no neuron of a layer that has 8"),
    "without beta's neuron": ("{layer: [neuron]}", "{layer: []}", "Suppress every neuron"),
}
SNS_LOSS: Wrong = {
    "a batch of six": ("sum(1).mean()", "sum(1).sum() / 6", "divided by 6, and the batch has 4: divide"),
    "sum over the batch": ("sum(1).mean()", "sum()", "average over the batch"),
    "no abs": (".abs()", "", "gains and losses cancel"),
    "squares": (".abs()", ".square()", "sum of squares"),
    "all neurons": ("[:, neurons]", "", "all neurons are counted"),
    "mean over neurons and positions": ("flatten(1).sum(1)", "flatten(1).mean(1)", "mean over neurons and positions"),
    "first layer": ("    return loss", "        return loss", "only the first layer"),
    "last layer": ("loss = loss +", "loss =", "only the last layer"),
    "mean over layers": ("return loss", "return loss / len(omega)", "mean over the layers"),
    "clean detached": (
        "clean[layer] -",
        "clean[layer].detach() -",
        "its gradient for clean['conv'], which is 0: both recordings",
    ),
    "adversarial detached": (
        "- adversarial[layer]",
        "- adversarial[layer].detach()",
        "its gradient for adversarial['conv'], which is 0",
    ),
    "number": ("return loss", "return loss.item()", "carries no gradient"),
    "gradient switched off": (
        "    loss = 0",
        "    torch.set_grad_enabled(False)\n    loss = 0",
        "gradients are left switched off",
    ),
    "root of a square": (".abs()", ".square().sqrt()", "gradient is not finite"),
}
ADVERSARIAL: Wrong = {
    "adversarial half without gradient": (
        "    adversarial = F.cross_entropy(model(x_adv), y)",
        "    with torch.no_grad():\n        adversarial = F.cross_entropy(model(x_adv), y)",
        "only the clean images are trained on",
    ),
    "adversarial half as a number": (
        "F.cross_entropy(model(x_adv), y)",
        "F.cross_entropy(model(x_adv), y).item()",
        "only the clean images are trained on",
    ),
    "adversarial half detached": (
        "model(x_adv), y)",
        "model(x_adv), y).detach()",
        "only the clean images are trained on",
    ),
    "clean half detached": ("model(x), y)", "model(x), y).detach()", "only the adversarial images are trained on"),
    "logits of x' detached in part": (
        "F.cross_entropy(model(x_adv), y)",
        "F.cross_entropy(model[2](model[:2](x_adv).detach()), y)",
        "gradient for the model's parameters is not",
    ),
    "sum of both": (" / 2", "", "1 to 1 means their mean"),
    "clean only": ("(clean + adversarial) / 2", "clean", "only the clean images are in the loss"),
    "adversarial only": ("(clean + adversarial) / 2", "adversarial", "only the adversarial images are in the loss"),
    "subtracted": ("clean + adversarial", "clean - adversarial", "add them"),
    "sum over the batch": ("), y)", '), y, reduction="sum")', "average over the batch"),
    "labels predicted for the attack": ("attack(model, x, y)", "attack(model, x, model(x).argmax(1))", "labels y"),
    "labels predicted for x'": ("(x_adv), y)", "(x_adv), model(x_adv).argmax(1))", "its label is y"),
    "labels predicted for x": ("(model(x_adv), y)", "(model(x_adv), model(x).argmax(1))", "its label is y"),
    "attacked twice": ("= attack(model, x, y)", "= attack(model, attack(model, x, y), y)", "attacks x' again"),
    "an attack of its own": (
        "attack(model, x, y)",
        "(x + 0.1 * (model(x.requires_grad_()).sum() - x.sum()).sign()).clamp(0, 1).detach()\n"
        "    x.requires_grad_(False)",
        "should be",
    ),
    "backward": ("return (clean + adversarial) / 2", "((clean + adversarial) / 2).backward()", "gradients are left"),
}
RELATIVE: Wrong = {
    "no abs above": ("(clean - adversarial).abs()", "(clean - adversarial)", "gains and losses cancel"),
    "no abs below": ("clean.abs()", "clean", "sum their absolute values"),
    "abs of each side": ("(clean - adversarial)", "(clean.abs() - adversarial.abs())", "gains and losses cancel"),
    "adversarial output": ("/ clean.abs()", "/ adversarial.abs()", "for clean images"),
    "upside down": ("change / clean.abs().sum()", "clean.abs().sum() / change", "upside down"),
    "change alone": ("change / clean.abs().sum()", "change", "the change alone"),
    "mean of ratios": (
        "(clean - adversarial).abs().sum()",
        "((clean - adversarial).abs() / clean.abs()).mean()\n    return change.item()",
        "divided by another",
    ),
    "neurons' ratios": (
        "    change",
        "    a, b = ((t.reshape(*t.shape[:2], -1)) for t in (clean - adversarial, clean))\n"
        "    return (a.abs().sum((0, 2)) / b.abs().sum((0, 2))).mean()\n    change",
        "mean of the neurons' ratios",
    ),
    "L2 norms": ("(change / clean.abs().sum())", "((clean - adversarial).norm() / clean.norm())", "L2 norms"),
    "one number per neuron": (".abs().sum()\n", ".abs().sum(0)\n", "cannot be converted"),
    "both sides": ("/ clean.abs().sum()", "/ (clean.abs() + adversarial.abs()).sum()", "for both sides"),
}
WORST: Wrong = {
    "any attack": ("right.all(0)", "right.any(0)", "all have to"),
    "attacks": ("right.all(0)", "right.all(1)", "rows are attacks"),
    "lowest accuracy": (
        "right.all(0).double().mean()",
        "right.double().mean(1).min()",
        "lowest accuracy of one attack",
    ),
    "mean": ("right.all(0).double()", "right.double()", "mean over the attacks"),
    "count": (".double().mean()", ".sum()", "number of images"),
    "lost": ("right.all(0)", "(~right.all(0))", "images that are lost"),
    "percent": ("return ", "return 100 * ", "in percent"),
    "three attacks": ("right.all(0)", "right[:3].all(0)", "should be"),
    "last attack": ("right.all(0)", "right[-1]", "highest accuracy of one attack"),
    "ten images": ("double().mean().item()", "sum().item() / 10", "should be"),
    "all or nothing": ("right.all(0)", "right.all()", "rows are attacks"),
}
STRONGER: Wrong = {
    "no steps": ("range(steps + 1)", "range(0)", "leaves 100% of the images right, the paper's PGD 48%"),
    "down the loss": ("x_adv + eps / 4", "x_adv - eps / 4", "leaves 100% of the images right, the paper's PGD 48%"),
    "no ball": (".clamp(x - eps, x + eps)", "", "more than eps"),
    "no box": ("x + eps).clamp(0, 1)", "x + eps)", "images live in [0, 1]"),
    "eps doubled": ("    best = x.clone()", "    eps = 2 * eps\n    best = x.clone()", "more than eps"),
    "eps fixed": ("    best = x.clone()", "    eps = 0.1\n    best = x.clone()", "more than eps, 0.03"),
    "eps fixed, small": ("    best = x.clone()", "    eps = 0.03\n    best = x.clone()", "with eps 0.1"),
    "worst kept": ("lead > best_lead", "lead < best_lead", "leaves"),
    "labels predicted": ("    best = x.clone()", "    y = (y + 1) % 4\n    best = x.clone()", "leaves"),
    "not like x": ("return best", "return best[:5]", "should be like x"),
    "hanging on a graph": ("return best", "return best.requires_grad_()", "return x_adv.detach()"),
    "model silenced": ("return best", "[p.data.zero_() for p in model.parameters()]\n    return best", "weights"),
}
REMEDY: Wrong = {
    "first layer": ("    return loss", "        return loss", "count every neuron of omega, in every layer"),
    "last layer": ("loss = loss +", "loss =", "count every neuron of omega, in every layer"),
    "first neuron": ("[:, neurons,", "[:, neurons[:1],", "only neuron 0 of conv moves, which is in omega"),
    "all neurons": ("[:, neurons,", "[:, :,", "outside of omega"),
    "the change alone": ("change / spread.clamp_min(1e-12)", "change", "outputs a hundredth"),
    "by the output": (
        "(a - middle).abs() + (b - middle).abs()",
        "a.abs() + b.abs()",
        "outputs 10 more, for x and x' alike",
    ),
    "one mean over positions": (".mean(0)", ".mean((0, 2), keepdim=True)", "a pattern besides"),
    "spread detached": ("spread = spread.sum((0, 2))", "spread = spread.sum((0, 2)).detach()", "loss detached"),
    "mean detached": ("torch.cat([a, b]).mean(0)", "torch.cat([a, b]).mean(0).detach()", "loss detached"),
    "clean detached": ("        change =", "        a = a.detach()\n        change =", "loss detached"),
    "division by 0": (".clamp_min(1e-12)", "", "result is nan"),
    "no abs": ("(a - b).abs()", "(a - b)", "should be less, not 0"),
    "upside down": (
        "change / spread.clamp_min(1e-12)",
        "spread / change.clamp_min(1e-12)",
        "and the loss is 1.1e+13, not 0",
    ),
    "sign": ("return loss", "return -loss", "should be less, not 0"),
    "constant": ("return loss", "return 0 * loss", "should be less, not 0"),
    "below 0 for a larger x'": (
        "        spread = spread.sum((0, 2))",
        "        a, b = a - a.mean(0), b - b.mean(0)\n"
        "        change = (a * (a - b)).sum((0, 2))\n        spread = a.square().sum((0, 2))",
        "it rewards moving",
    ),
    "number": ("return loss", "return loss.item()", "carries no gradient"),
}

TABLES: dict[str, Wrong] = {
    "1.1": FGSM,
    "1.3": STEP_LL,
    "1.4": PGD,
    "2.1": SIGMA,
    "2.2": TOP,
    "3.2": JACCARD,
    "3.3": SUPPRESSED,
    "3.4": HELPFUL,
    "4.1": SNS_LOSS,
    "5.1": ADVERSARIAL,
    "5.2": RELATIVE,
    "6.1": WORST,
    "7.3": STRONGER,
    "7.4": REMEDY,
}
