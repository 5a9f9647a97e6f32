"""Flow past a cylinder by the lattice Boltzmann method: D2Q9 with a recursive regularised collision.

Populations f_i(x, t) of nine velocities c_i in {-1, 0, 1}^2 move by one cell per step and collide between moves. With
the lattice weights w_i, the speed of sound c_s^2 = 1/3 and the Hermite polynomials H, a collision gives

    f_i = w_i sum_n a^(n) : H^(n)(c_i) / (n! c_s^2n),    n = 0 ... 4,
    a_xx = rho u u + k n_xx,  a_xy = rho u v + k n_xy,  a_yy = rho v v + k n_yy,    k = 1 - 1 / tau,
    a_xxy = rho u u v + k (2 u n_xy + v n_xx),  a_xyy alike,
    a_xxyy = rho u u v v + k (v v n_xx + 4 u v n_xy + u u n_yy),

where n are the second-order Hermite coefficients of f minus its equilibrium, and the higher orders follow from them
(Malaspinas, 2015, "Increasing stability and accuracy of the lattice Boltzmann scheme: recursivity and regularization",
arXiv:1505.06900). The viscosity is nu = (tau - 1/2) / 3 and the pressure (rho - 1) / 3.

The cylinder reflects populations whose path crosses its circle (Bouzidi, Firdaouss & Lallemand, 2001, "Momentum
transfer of a Boltzmann-lattice fluid with boundaries", Physics of Fluids 13); this also gives the force on it. Top and
bottom are frictionless walls. Sound waves would be reflected between the two ends for a long time, so each end has a
layer that damps them. On the left, the coefficients relax to those of fluid with the inflow speed and the mean density
of the layer. On the right, the density relaxes to 1 and the viscosity grows; the last column copies the one before it.

Lengths are in cells, times in steps. f is stored as f - w, which leaves float32 more digits.
Shapes: Q nine velocities, B independent flows, H rows (y), W columns (x).
"""

from itertools import product
from math import pi, sin

import torch
from torch import Tensor

VELOCITIES = tuple(product((-1, 0, 1), repeat=2))  # (x, y); the opposite of velocity i is 8 - i
_WEIGHTS = (4 / 9, 1 / 9, 1 / 36)  # by |x| + |y|
_RELAXATION = 0.1  # share of the difference to the outside state that a step removes, at the outer end of a layer
_END_VISCOSITY = 0.04  # added at the right end
_AVERAGING_TIME = 10.0  # diameters / speed over which the density of the inflow is averaged
_ROTATION_TIME = 5.0  # diameters / speed for which the cylinder rotates at the start


def lattice(dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Returns the matrix from populations to Hermite coefficients, and its inverse.

    Returns:
        (9, 9) with rows rho, rho u, rho v, a_xx, a_xy, a_yy, a_xxy, a_xyy, a_xxyy, and its inverse (9, 9).
    """
    c = torch.tensor(VELOCITIES, dtype=torch.float64)
    x, y = c.unbind(1)
    xx, yy, one = x * x - 1 / 3, y * y - 1 / 3, torch.ones(9, dtype=torch.float64)
    polynomials = torch.stack([one, x, y, xx, x * y, yy, xx * y, x * yy, xx * yy])
    norm = torch.tensor([1, 3, 3, 4.5, 9, 4.5, 13.5, 13.5, 20.25], dtype=torch.float64)  # multiplicity / (n! c_s^2n)
    weight = torch.tensor(_WEIGHTS, dtype=torch.float64)[c.abs().sum(1).long()]
    return polynomials.to(device, dtype), (weight * norm[:, None] * polynomials).T.contiguous().to(device, dtype)


def collide(hermite: Tensor, keep: Tensor | float) -> None:
    """Replaces Hermite coefficients (9, ...) by those after a collision.

    Args:
        hermite: the first is rho - 1; the first six are read, the last three are overwritten.
        keep: k = 1 - 1 / tau, the share of the deviation from equilibrium that stays.
    """
    velocity = hermite[1:3] / (hermite[0] + 1)
    u, v = velocity
    second = hermite[3:6]
    rest = torch.stack([hermite[1] * u, hermite[1] * v, hermite[2] * v])
    off = (second - rest).mul_(keep)
    torch.add(rest, off, out=second)
    a_xx, _, a_yy, a_xxy, a_xyy, a_xxyy = hermite[3:]
    torch.mul(v, a_xx, out=a_xxy).addcmul_(u, off[1], value=2)
    torch.mul(u, a_yy, out=a_xyy).addcmul_(v, off[1], value=2)
    torch.addcmul(a_xyy, u, rest[2], value=-1, out=a_xxyy).mul_(u).addcmul_(v, a_xxy)


class CylinderFlow:
    """Independent flows, each past one cylinder; they start as potential flow.

    The cylinder rotates for the first 5 diameters / speed, with a speed proportional to sin^2 of time. This starts the
    shedding of vortices without noise. A wake is developed after 30 diameters / speed.

    Args:
        size: rows and columns of cells.
        diameter: diameter of the cylinders in cells.
        centres: (B, 2) x and y of the cylinders, from the lower left corner of the first cell.
        reynolds: (B,) speed * diameter / viscosity.
        turn: (B,) surface speed of the rotating cylinder in units of `speed`, positive counter-clockwise; 0 keeps the
            flow symmetric.
        layer: columns of the damping layer at each end, 2 or more; the flow there is not physical.
        speed: inflow speed in cells per step; the Mach number is sqrt(3) times as large.
    """

    def __init__(
        self,
        size: tuple[int, int],
        diameter: float,
        centres: Tensor,
        reynolds: Tensor,
        turn: Tensor,
        layer: int,
        speed: float = 0.1,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        (rows, columns), flows = size, len(centres)
        self.size, self.flows, self.diameter, self.speed, self.time = size, flows, diameter, speed, 0
        self.to_hermite, self.to_populations = lattice(dtype, device)
        x = torch.arange(columns, dtype=torch.float64) + 0.5
        y = torch.arange(rows, dtype=torch.float64)[:, None] + 0.5
        dx, dy = x - centres[:, 0, None, None].double(), y - centres[:, 1, None, None].double()
        inside = dx**2 + dy**2 < diameter**2 / 4
        self.inside = inside.to(device)
        self._solid = inside.flatten().nonzero()[:, 0].to(device)
        self._reflect_at(inside, dx.expand_as(inside), dy.expand_as(inside), dtype, device)
        self._turn = turn.to(device, dtype)

        depth = (torch.arange(layer, dtype=torch.float64) + 0.5) / layer
        viscosity = (speed * diameter / reynolds.double())[:, None, None].repeat(1, 1, columns)
        viscosity[..., -layer:] += _END_VISCOSITY * depth**2
        self._keep = (1 - 1 / (3 * viscosity + 0.5)).to(device, dtype)
        self._relaxation = (_RELAXATION * depth**2).to(device, dtype)
        entering = torch.tensor([0, speed, 0, speed**2, 0, 0], dtype=torch.float64)
        self._entering = entering[:, None, None, None].repeat(1, flows, 1, 1).to(device, dtype)

        self._hermite = torch.zeros(9, flows, rows, columns, dtype=dtype, device=device)
        self._hermite[:3] = self._potential_flow(dx, dy).to(device, dtype)
        rho, jx, jy = self._hermite[:3]
        self._hermite[3:6] = torch.stack([jx * jx, jx * jy, jy * jy]) / (rho + 1)
        collide(self._hermite, 0.0)
        self._reset_solid_cells()
        self._moved = torch.mm(self.to_populations, self._hermite.view(9, -1))
        self._collided = torch.empty_like(self._moved)

    def _potential_flow(self, dx: Tensor, dy: Tensor) -> Tensor:
        """Returns (3, B, H, W) rho - 1, rho u, rho v."""
        distance = (dx**2 + dy**2).clamp(min=self.diameter**2 / 4)
        doublet = self.diameter**2 / 4 / distance**2
        u = 1 - doublet * (dx**2 - dy**2)
        v = -2 * doublet * dx * dy
        rho = 1 + 1.5 * self.speed**2 * (1 - u**2 - v**2)
        return torch.stack([rho - 1, rho * self.speed * u, rho * self.speed * v])

    def _reflect_at(
        self, inside: Tensor, dx: Tensor, dy: Tensor, dtype: torch.dtype, device: torch.device | str
    ) -> None:
        """Computes all links from a fluid cell into a cylinder, and the share q of each that lies outside the circle.

        A population that crosses the circle comes back as a mean of two known populations (i points to the wall)

            q < 1/2: 2 q f_i(x) + (1 - 2 q) f_i(x - c_i),    else: f_i(x) / (2 q) + (1 - 1 / (2 q)) f_opposite(x),

        minus 6 w_i c_i . u for a wall with velocity u, multiplied by max(1, factor of f_i(x)).
        """
        cells, flows = inside.numel(), self.flows
        links: list[tuple[Tensor, ...]] = []
        for i, (cx, cy) in enumerate(VELOCITIES):
            cell = (torch.roll(inside, (-cy, -cx), (1, 2)) & ~inside).flatten().nonzero()[:, 0]
            x, y = dx.flatten()[cell], dy.flatten()[cell]
            along, length = x * cx + y * cy, max(cx * cx + cy * cy, 1)
            q = (-along - (along**2 - length * (x**2 + y**2 - self.diameter**2 / 4)).sqrt()) / length
            near, opposite = q < 0.5, (8 - i) * cells + cell
            second = torch.where(near, i * cells + cell - cy * self.size[1] - cx, opposite)
            share = torch.where(near, 2 * q, 1 / (2 * q))
            wall = (cy * x - cx * y) / (self.diameter / 2)  # c_i . u, for a surface of speed 1
            moving = -6 * _WEIGHTS[abs(cx) + abs(cy)] * self.speed * wall * share.clamp(min=1)
            links.append(
                (opposite, i * cells + cell, second, cell // (cells // flows), share, moving, 0 * q + cx, 0 * q + cy)
            )
        *indices, share, moving, cx, cy = (torch.cat(part) for part in zip(*links, strict=True))
        self._back_to, self._first, self._second, self._flow = (index.to(device) for index in indices)
        self._share, self._moving = share.to(device, dtype), moving.to(device, dtype)
        self._push = torch.stack([cx, cy], 1).to(device, dtype)

    def _reset_solid_cells(self) -> None:
        """Sets the fluid inside the cylinders to rest, because these cells are not used."""
        self._hermite.view(9, -1).index_fill_(1, self._solid, 0.0)

    def _relax_ends(self) -> None:
        """Moves the end layers towards the outside state; the first column is set to this state."""
        known, layer = self._hermite[:6], len(self._relaxation)
        known[..., -1] = known[..., -2]
        known[0, ..., -layer:] *= 1 - self._relaxation
        density = known[0, ..., 1:layer].mean((1, 2))[:, None, None]
        self._entering[0].lerp_(density, self.speed / self.diameter / _AVERAGING_TIME)
        known[..., 0] = self._entering[..., 0]
        known[..., :layer].lerp_(self._entering, self._relaxation.flip(0))

    def _stream(self) -> None:
        """Moves every population by one cell; the walls at top and bottom reflect populations.

        Populations that leave at the end of a row land in the first or the last column, which `_relax_ends` overwrites.
        """
        (rows, columns), flows = self.size, self.flows
        source, target = (f.view(9, flows, rows * columns) for f in (self._collided, self._moved))
        for i, (cx, cy) in enumerate(VELOCITIES):
            shift = cy * columns + cx
            here, there = slice(max(shift, 0), rows * columns + min(shift, 0)), slice(max(-shift, 0), None)
            target[i, :, here] = source[i, :, there][:, : rows * columns - abs(shift)]
        source, target = (f.view(3, 3, flows, rows, columns) for f in (source, target))  # by x, by y
        for cy, row in ((1, 0), (-1, -1)):
            for cx in (-1, 0, 1):
                here, there = slice(max(cx, 0), columns + min(cx, 0)), slice(max(-cx, 0), columns - max(cx, 0))
                target[cx + 1, cy + 1, :, row, here] = source[cx + 1, 1 - cy, :, row, there]

    def _reflect(self) -> Tensor:
        """Reflects populations at the cylinders; returns (B, 2) the momentum that the cylinders receive."""
        known = self._collided.view(-1)
        arriving = known.take(self._first)
        back = known.take(self._second).lerp_(arriving, self._share)
        progress = self.time * self.speed / self.diameter / _ROTATION_TIME
        if progress < 1:
            back += self._moving * (self._turn * sin(pi * progress) ** 2)[self._flow]
        self._moved.view(-1).index_copy_(0, self._back_to, back)
        return known.new_zeros(self.flows, 2).index_add_(0, self._flow, self._push * (arriving + back)[:, None])

    def advance(self, steps: int) -> Tensor:
        """Solves the next `steps` steps.

        Returns:
            (steps, B, 2) drag and lift coefficients after each step: force / (1/2 rho speed^2 diameter).
        """
        hermite = self._hermite.view(9, -1)
        forces = self._hermite.new_empty(steps, self.flows, 2)
        for step in range(steps):
            torch.mm(self.to_hermite[:6], self._moved, out=hermite[:6])
            self._relax_ends()
            collide(self._hermite, self._keep)
            self._reset_solid_cells()
            torch.mm(self.to_populations, hermite, out=self._collided)
            self._stream()
            forces[step] = self._reflect()
            self.time += 1
        return forces / (0.5 * self.speed**2 * self.diameter)

    def fields(self) -> Tensor:
        """Returns (B, 3, H, W) u / speed, v / speed and p / (rho speed^2), 0 inside the cylinders."""
        rho, jx, jy = (self.to_hermite[:3] @ self._moved).view(3, self.flows, *self.size)
        inertia = (1 + rho) * self.speed
        values = torch.stack([jx / inertia, jy / inertia, rho / (3 * inertia * self.speed)], 1)
        return values.masked_fill(self.inside[:, None], 0.0)

    def mass(self) -> Tensor:
        """Returns (B,) the mean density of the fluid."""
        outside = ~self.inside
        rho = self._moved.view(9, self.flows, *self.size).sum(0)
        return 1 + (rho * outside).sum((1, 2)) / outside.sum((1, 2))
