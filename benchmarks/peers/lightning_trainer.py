"""Lightning: a LightningModule, a Trainer and a DataLoader, as the popular Hydra template has them; one run."""

from __future__ import annotations

import logging
import time
import warnings

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.peers.pytorch_loop import Network, examples_of, invariance, objective, parameter_groups
from benchmarks.problem import Problem

__all__ = ["Peer"]


class Peer:
    """One run."""

    def __init__(self, problem: Problem):
        import lightning

        torch.set_num_threads(problem.case.threads)
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", module="lightning")
        assert problem.case.replicas == 1
        self.problem, self.lightning = problem, lightning
        self.module = _module(lightning, problem)

    def epoch(self, index: int) -> tuple[float, Tensor]:
        """Train one epoch; its seconds, without the Trainer's start-up, and mean loss."""
        order = self.problem.order(index)[0].flatten().tolist()
        loader = DataLoader(examples_of(self.problem), batch_size=128, sampler=order, drop_last=True)
        self.module.losses.clear()
        self._trainer(1).fit(self.module, loader)
        return self.module.seconds, torch.stack(self.module.losses).mean(0, keepdim=True)

    def fit(self, target: float) -> int:
        """Train all epochs, or until the validation ``mse_invariance`` is below ``target``; the number of epochs."""
        experiment = self.problem.experiment
        loader = DataLoader(examples_of(self.problem), batch_size=128, shuffle=True, drop_last=True)
        pairs = experiment.draws("cpu").examples(experiment.loss.validation, "valid")
        valid = TensorDataset(*(part[0] for part in pairs))
        self.module.target = target
        trainer = self._trainer(experiment.epochs)
        trainer.fit(self.module, loader, DataLoader(valid, batch_size=1000))
        return trainer.current_epoch

    def _trainer(self, epochs: int):
        return self.lightning.Trainer(
            accelerator="cpu",
            max_epochs=epochs,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            gradient_clip_val=self.problem.experiment.trainer.clip,
        )


def _module(lightning, problem: Problem) -> nn.Module:
    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            eps = problem.experiment.config["model"].get("eps", 0.0)
            encoder, decoder = problem.networks()
            self.encoder, self.decoder = Network(encoder, eps), Network(decoder, eps)
            groups = parameter_groups(problem, self.encoder, self.decoder)
            betas = tuple(problem.experiment.config["optimizer"]["betas"])
            self.optimizer = torch.optim.Adam(groups, betas=betas)
            self.alphas = None if problem.alphas is None else problem.alphas[:, 0].tolist()
            self.step, self.losses, self.started, self.seconds = 0, [], 0.0, 0.0
            self.target = 0.0

        def on_train_epoch_start(self):
            self.started = time.perf_counter()

        def on_train_epoch_end(self):
            self.seconds = time.perf_counter() - self.started

        def training_step(self, batch, batch_index):
            for group in self.optimizer.param_groups:
                group["lr"] = problem.rates[self.step] * group["relative"]
            alpha = self.alphas[self.step] if self.alphas else 0.0
            loss = objective(problem, self.encoder, self.decoder, batch, alpha)
            self.log("train/loss", loss, on_step=False, on_epoch=True)
            self.step += 1
            self.losses.append(loss.detach())
            return loss

        def validation_step(self, batch, batch_index):
            self.log(
                "valid/mse_invariance", invariance(problem, self.encoder(torch.cat(batch[:2])), batch[2], 1.0, 1.0)
            )

        def on_validation_epoch_end(self):
            self.trainer.should_stop = bool(self.trainer.callback_metrics["valid/mse_invariance"] < self.target)

        def configure_optimizers(self):
            return self.optimizer

    return Module()
