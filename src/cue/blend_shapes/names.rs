//! The 52 blend shapes of ARKit's face (Apple, `ARFaceAnchor.BlendShapeLocation`), in the order that face captures write them.

/// Their names; a row of curves has its values in this order.
pub const BLEND_SHAPES: [&str; 52] = [
    "eyeBlinkLeft",
    "eyeLookDownLeft",
    "eyeLookInLeft",
    "eyeLookOutLeft",
    "eyeLookUpLeft",
    "eyeSquintLeft",
    "eyeWideLeft",
    "eyeBlinkRight",
    "eyeLookDownRight",
    "eyeLookInRight",
    "eyeLookOutRight",
    "eyeLookUpRight",
    "eyeSquintRight",
    "eyeWideRight",
    "jawForward",
    "jawLeft",
    "jawRight",
    "jawOpen",
    "mouthClose",
    "mouthFunnel",
    "mouthPucker",
    "mouthLeft",
    "mouthRight",
    "mouthSmileLeft",
    "mouthSmileRight",
    "mouthFrownLeft",
    "mouthFrownRight",
    "mouthDimpleLeft",
    "mouthDimpleRight",
    "mouthStretchLeft",
    "mouthStretchRight",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    "mouthPressLeft",
    "mouthPressRight",
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
    "browDownLeft",
    "browDownRight",
    "browInnerUp",
    "browOuterUpLeft",
    "browOuterUpRight",
    "cheekPuff",
    "cheekSquintLeft",
    "cheekSquintRight",
    "noseSneerLeft",
    "noseSneerRight",
    "tongueOut",
];

/// The value of every blend shape at one moment, 0 to 1, in the order of [`BLEND_SHAPES`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlendShapes(pub [f32; BLEND_SHAPES.len()]);

impl BlendShapes {
    /// The value of a blend shape by name; `None` for a name that ARKit has not.
    pub fn get(&self, name: &str) -> Option<f32> {
        BLEND_SHAPES.iter().position(|shape| *shape == name).map(|index| self.0[index])
    }
}
