"""Flow past a cylinder by the lattice Boltzmann method: D2Q9 with a recursive regularised collision.

Populations f_i(x, t) of nine velocities c_i in {-1, 0, 1}^2 move a cell a step and collide between moves. With w_i the
weights of the lattice, c_s^2 = 1/3 its speed of sound and H the Hermite polynomials, those after a collision are

    f_i = w_i sum_n a^(n) : H^(n)(c_i) / (n! c_s^2n),    n = 0 ... 4,
    a_xx = rho u u + k n_xx,  a_xy = rho u v + k n_xy,  a_yy = rho v v + k n_yy,    k = 1 - 1 / tau,
    a_xxy = rho u u v + k (2 u n_xy + v n_xx),  a_xyy alike,
    a_xxyy = rho u u v v + k (v v n_xx + 4 u v n_xy + u u n_yy),

where n are the second moments by which f was off its equilibrium, and the higher ones follow from them (Malaspinas,
2015, "Increasing stability and accuracy of the lattice Boltzmann scheme: recursivity and regularization",
arXiv:1505.06900). The viscosity is nu = (tau - 1/2) / 3 and the pressure (rho - 1) / 3.

The cylinder reflects populations where its circle cuts their way (Bouzidi, Firdaouss & Lallemand, 2001, "Momentum
transfer of a Boltzmann-lattice fluid with boundaries", Physics of Fluids 13), which also gives the force on it. Top
and bottom are walls without friction. Sound would run to and fro between the ends for long, so each is a layer that
swallows it: on the left moments are drawn to those of fluid that comes in at the given speed and the mean density found
there, on the right the density is drawn to 1 while viscosity grows, and the last column repeats the one before it.

Lengths are cells, times are steps, and f is kept as f - w, which leaves float32 more digits.
Shapes: Q nine velocities, B flows side by side, H rows (y), W columns (x).
"""

from itertools import product
from math import pi, sin

import torch
from torch import Tensor

VELOCITIES = tuple(product((-1, 0, 1), repeat=2))  # (x, y); the opposite of velocity i is 8 - i
_WEIGHTS = (4 / 9, 1 / 9, 1 / 36)  # by |x| + |y|
_DRAWN = 0.1  # share of the way to the state outside that a step goes, at the outer end of a layer
_THICK = 0.04  # viscosity at the right end
_MEAN = 10.0  # diameters / speed over which the density of what comes in is a mean
_TURN = 5.0  # diameters / speed that the cylinder turns at the start


def lattice(dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """The matrix to Hermite moments, and the one back to populations.

    Returns:
        (9, 9) rows rho, rho u, rho v, a_xx, a_xy, a_yy, a_xxy, a_xyy, a_xxyy of nine populations, and its inverse.
    """
    c = torch.tensor(VELOCITIES, dtype=torch.float64)
    x, y = c.unbind(1)
    xx, yy, one = x * x - 1 / 3, y * y - 1 / 3, torch.ones(9, dtype=torch.float64)
    hermite = torch.stack([one, x, y, xx, x * y, yy, xx * y, x * yy, xx * yy])
    norm = torch.tensor([1, 3, 3, 4.5, 9, 4.5, 13.5, 13.5, 20.25], dtype=torch.float64)  # multiplicity / (n! c_s^2n)
    weight = torch.tensor(_WEIGHTS, dtype=torch.float64)[c.abs().sum(1).long()]
    return hermite.to(device, dtype), (weight * norm[:, None] * hermite).T.contiguous().to(device, dtype)


def collide(moments: Tensor, keep: Tensor | float) -> None:
    """Replaces the moments (9, ...) by those after a collision; of the first only rho - 1 is kept.

    Args:
        moments: the first six as they are; the last three are overwritten.
        keep: k = 1 - 1 / tau, that multiplies what is off equilibrium.
    """
    velocity = moments[1:3] / (moments[0] + 1)
    u, v = velocity
    second = moments[3:6]
    rest = torch.stack([moments[1] * u, moments[1] * v, moments[2] * v])
    off = (second - rest).mul_(keep)
    torch.add(rest, off, out=second)
    a_xx, _, a_yy, a_xxy, a_xyy, a_xxyy = moments[3:]
    torch.mul(v, a_xx, out=a_xxy).addcmul_(u, off[1], value=2)
    torch.mul(u, a_yy, out=a_xyy).addcmul_(v, off[1], value=2)
    torch.addcmul(a_xyy, u, rest[2], value=-1, out=a_xxyy).mul_(u).addcmul_(v, a_xxy)


class CylinderFlow:
    """Flows past one cylinder each, which start as potential flow.

    The cylinder then turns for 5 diameters / speed, by sin^2 of time, which starts the shedding of vortices without
    noise. A wake is developed after 30.

    Args:
        size: rows and columns of cells.
        diameter: of the cylinders.
        centres: (B, 2) x and y of the cylinders, from the lower left corner of the first cell.
        reynolds: (B,) speed * diameter / viscosity.
        turn: (B,) speed of the surface of the turning cylinder in units of `speed`, positive against the clock; 0 keeps
            the flow symmetric.
        layer: columns at either end, 2 or more, in which flow is not to be trusted.
        speed: of the fluid that enters; the Mach number is sqrt(3) of it.
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
        self.to_moments, self.to_populations = lattice(dtype, device)
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
        viscosity[..., -layer:] += _THICK * depth**2
        self._keep = (1 - 1 / (3 * viscosity + 0.5)).to(device, dtype)
        self._drawn = (_DRAWN * depth**2).to(device, dtype)
        entering = torch.tensor([0, speed, 0, speed**2, 0, 0], dtype=torch.float64)
        self._entering = entering[:, None, None, None].repeat(1, flows, 1, 1).to(device, dtype)

        self._moments = torch.zeros(9, flows, rows, columns, dtype=dtype, device=device)
        self._moments[:3] = self._potential_flow(dx, dy).to(device, dtype)
        rho, jx, jy = self._moments[:3]
        self._moments[3:6] = torch.stack([jx * jx, jx * jy, jy * jy]) / (rho + 1)
        collide(self._moments, 0.0)
        self._still()
        self._moved = torch.mm(self.to_populations, self._moments.view(9, -1))
        self._collided = torch.empty_like(self._moved)

    def _potential_flow(self, dx: Tensor, dy: Tensor) -> Tensor:
        """(3, B, H, W) rho - 1, rho u, rho v."""
        distance = (dx**2 + dy**2).clamp(min=self.diameter**2 / 4)
        doublet = self.diameter**2 / 4 / distance**2
        u = 1 - doublet * (dx**2 - dy**2)
        v = -2 * doublet * dx * dy
        rho = 1 + 1.5 * self.speed**2 * (1 - u**2 - v**2)
        return torch.stack([rho - 1, rho * self.speed * u, rho * self.speed * v])

    def _reflect_at(
        self, inside: Tensor, dx: Tensor, dy: Tensor, dtype: torch.dtype, device: torch.device | str
    ) -> None:
        """Finds every link from a cell of fluid into a cylinder, and how far along it, q of it, the circle is.

        A population that meets the circle comes back as a mean of two that are known (with i towards the wall)

            q < 1/2: 2 q f_i(x) + (1 - 2 q) f_i(x - c_i),    else: f_i(x) / (2 q) + (1 - 1 / (2 q)) f_opposite(x),

        less 6 w_i c_i . u of a wall that moves at u, times max(1, ...) as f_i(x).
        """
        cells = inside.numel()
        links: list[tuple[Tensor, ...]] = []
        for i, (cx, cy) in enumerate(VELOCITIES):
            at = (torch.roll(inside, (-cy, -cx), (1, 2)) & ~inside).flatten().nonzero()[:, 0]
            x, y = dx.flatten()[at], dy.flatten()[at]
            along, length = x * cx + y * cy, max(cx * cx + cy * cy, 1)
            q = (-along - (along**2 - length * (x**2 + y**2 - self.diameter**2 / 4)).sqrt()) / length
            near, opposite = q < 0.5, (8 - i) * cells + at
            second = torch.where(near, i * cells + at - cy * self.size[1] - cx, opposite)
            share = torch.where(near, 2 * q, 1 / (2 * q))
            wall = (cy * x - cx * y) / (self.diameter / 2)  # c_i . u, for a surface of speed 1
            moving = -6 * _WEIGHTS[abs(cx) + abs(cy)] * self.speed * wall * share.clamp(min=1)
            links.append(
                (opposite, i * cells + at, second, at // (cells // self.flows), share, moving, 0 * q + cx, 0 * q + cy)
            )
        *places, share, moving, cx, cy = (torch.cat(part) for part in zip(*links, strict=True))
        self._back_to, self._first, self._second, self._flow = (place.to(device) for place in places)
        self._share, self._moving = share.to(device, dtype), moving.to(device, dtype)
        self._push = torch.stack([cx, cy], 1).to(device, dtype)

    def _still(self) -> None:
        """Fluid at rest inside the cylinders, where nothing is asked of it."""
        self._moments.view(9, -1).index_fill_(1, self._solid, 0.0)

    def _ends(self) -> None:
        """Draws what is near the ends towards the state outside; the first column takes it whole."""
        known, layer = self._moments[:6], len(self._drawn)
        known[..., -1] = known[..., -2]
        known[0, ..., -layer:] *= 1 - self._drawn
        self._entering[0].lerp_(known[0, ..., 1:layer].mean((1, 2))[:, None, None], self.speed / self.diameter / _MEAN)
        known[..., 0] = self._entering[..., 0]
        known[..., :layer].lerp_(self._entering, self._drawn.flip(0))

    def _stream(self) -> None:
        """Moves every population by one cell; those that met a wall above or below come back from it.

        What runs over the end of a row lands in the first or the last column, which `_ends` fills anew.
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
        """(B, 2) the momentum that goes into the cylinders as they reflect what met them."""
        known = self._collided.view(-1)
        met = known.take(self._first)
        back = known.take(self._second).lerp_(met, self._share)
        turned = self.time * self.speed / self.diameter / _TURN
        if turned < 1:
            back += self._moving * (self._turn * sin(pi * turned) ** 2)[self._flow]
        self._moved.view(-1).index_copy_(0, self._back_to, back)
        return known.new_zeros(self.flows, 2).index_add_(0, self._flow, self._push * (met + back)[:, None])

    def advance(self, steps: int) -> Tensor:
        """Goes on by that many steps.

        Returns:
            (steps, B, 2) coefficients of drag and lift at each: force / (1/2 rho speed^2 diameter).
        """
        moments = self._moments.view(9, -1)
        forces = self._moments.new_empty(steps, self.flows, 2)
        for step in range(steps):
            torch.mm(self.to_moments[:6], self._moved, out=moments[:6])
            self._ends()
            collide(self._moments, self._keep)
            self._still()
            torch.mm(self.to_populations, moments, out=self._collided)
            self._stream()
            forces[step] = self._reflect()
            self.time += 1
        return forces / (0.5 * self.speed**2 * self.diameter)

    def fields(self) -> Tensor:
        """(B, 3, H, W) u / speed, v / speed and p / (rho speed^2), 0 inside the cylinders."""
        rho, jx, jy = (self.to_moments[:3] @ self._moved).view(3, self.flows, *self.size)
        inertia = (1 + rho) * self.speed
        values = torch.stack([jx / inertia, jy / inertia, rho / (3 * inertia * self.speed)], 1)
        return values.masked_fill(self.inside[:, None], 0.0)

    def mass(self) -> Tensor:
        """(B,) mean density of the fluid."""
        outside = ~self.inside
        rho = self._moved.view(9, self.flows, *self.size).sum(0)
        return 1 + (rho * outside).sum((1, 2)) / outside.sum((1, 2))
